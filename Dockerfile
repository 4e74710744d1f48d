# hospitallink in a container: small, without root, with a file system that may be read-only.
#
#   docker build -t hospitallink .
#   docker run --env-file hospital.env -p 8080:8080 --read-only --tmpfs /tmp -v hospital:/data hospitallink
#
# hospital.env has what docs/operating.md lists under "Going to production".

FROM node:22-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY profiles ./profiles
COPY capability ./capability
# What only compiling the embedded store needs stays behind.
RUN npm run build \
 && npm prune --omit=dev --no-audit --no-fund \
 && rm -rf node_modules/better-sqlite3/deps node_modules/better-sqlite3/src node_modules/better-sqlite3/build/Release/obj* \
 && find dist \( -name '*.map' -o -name '.tsbuildinfo' \) -delete \
 && node -e "new (require('better-sqlite3'))(':memory:').close()"

FROM node:22-bookworm-slim
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/profiles ./profiles
COPY --from=build /app/capability ./capability
COPY --from=build /app/dist ./dist
RUN mkdir /data && chown node:node /data
USER node
# Memory that is free goes back to the system: one arena, and a young generation of half the usual size.
ENV NODE_ENV=production AUTH=on HOST=0.0.0.0 STORE=sqlite:/data/hospital.db MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072 NODE_OPTIONS=--max-semi-space-size=8
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 8080) + '/health').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve"]
