# One image for every container of docker-compose.yml: the built system and its packages, nothing to write to.
FROM node:20-bookworm-slim AS build
WORKDIR /neptune
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN node tools/build.mjs && npm prune --omit=dev --no-audit --no-fund

FROM node:20-bookworm-slim
WORKDIR /neptune
COPY --from=build /neptune/node_modules node_modules
COPY --from=build /neptune/dist dist
COPY --from=build /neptune/launch.json /neptune/package.json ./
RUN mkdir -p /run/neptune /disk && chown 10000:10000 /run/neptune /disk
USER 10000:10000
CMD ["node", "dist/images/cli.js", "boot"]
