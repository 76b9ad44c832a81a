# The server: gateways (`serve`, the default), workers (`work`) and the command line. See docs/docker.md.
#
# By digest, for a build that can be repeated: --build-arg NODE_IMAGE=node:24-trixie-slim@sha256:…
# Node 24 needs glibc 2.38 or later for uWebSockets.js, so trixie and not bookworm.
ARG NODE_IMAGE=node:24-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY scripts/ scripts/
RUN ["node", "scripts/bootstrap.mjs", "packages"]
COPY tsconfig.json tsconfig.build.json ./
COPY schemas/ schemas/
COPY src/ src/
RUN npm run --silent build
RUN npm prune --omit=dev --no-audit --no-fund
# Of uWebSockets.js, only what is loaded on this platform; and it must load.
RUN ["node", "scripts/trim-uws.mjs"]

FROM ${NODE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="OpenChamp session server" \
      org.opencontainers.image.description="Horizontally scaled, event-sourced session server for games on Redis" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=64
WORKDIR /app
COPY package.json LICENSE ./
COPY schemas/ schemas/
COPY --from=build /app/node_modules/ node_modules/
COPY --from=build /app/dist/ dist/
# The user `node` of the image, by number, so that Kubernetes can see that it isn't root. It can write to nothing here.
USER 1000:1000
EXPOSE 8080 8081
# Alive, not ready: a container that is restarted because Redis is away would only lose its clients.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.ADMIN_PORT || 8081}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# No shell in between: the server itself gets SIGTERM, and drains.
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["serve"]
