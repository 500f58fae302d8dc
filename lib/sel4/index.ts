/** The public face of lib/sel4: the seam's types and errors. An image's entry uses `start` from '#sel4/start'. */
export * from './api.ts'
