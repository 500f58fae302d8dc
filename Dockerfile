# One image for every container of docker-compose.yml: the built system and its packages, nothing to write to.

# Packages that the working tree has are taken when they work here (no registry is needed then); else npm fetches them.
FROM node:20-bookworm-slim AS build
WORKDIR /neptune
COPY . .
RUN node -e "for (const name of ['esbuild', 'zeromq', 'koffi']) require(name); require('esbuild').transformSync('')" 2>/dev/null \
 || { rm -rf node_modules && npm ci --no-audit --no-fund; }
RUN node tools/build.mjs
RUN node tools/compose/packages.mjs /packages
# What each image needs is described beside its source.
RUN mkdir /descriptions \
 && find devices drivers services executive tools lab -name '*.json' -exec cp --parents -t /descriptions {} +

FROM node:20-bookworm-slim
WORKDIR /neptune
COPY --from=build /packages node_modules
COPY --from=build /neptune/dist dist
COPY --from=build /descriptions ./
COPY --from=build /neptune/launch.json /neptune/package.json ./
# Volumes take the owner of this folder over.
RUN mkdir -p /run/neptune /disk && chown 10000:10000 /run/neptune /disk && chmod 2770 /disk
USER 10000:10000
CMD ["node", "dist/images/cli.js", "help"]
