# One image for broker, agent and CLI: the first word of the command says which.
#
#   docker build --tag countersign .
#   docker run countersign broker --help
#
# Both bases are arguments: name them by digest (BASE=docker.io/library/debian@sha256:…) to build the same twice. A
# registry of npm of your own: --secret id=npmrc,src=$HOME/.npmrc. Any Node.js that can run npm will do for the build,
# with binutils; the one in the image is that of package-lock.json.
ARG BUILD_BASE=docker.io/library/node:26-trixie
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --no-audit --no-fund
COPY . .
# Without its symbols, which only a debugger of Node.js itself would read, node is a fifth smaller.
RUN node_modules/.bin/node deploy/image/bundle.ts /out/countersign \
 && strip --strip-all -o /out/node node_modules/node/bin/node

FROM ${BASE}
# node is linked against these libraries; the agent mounts by mount(8) of util-linux, which is not busybox's. Nobody in the
# image becomes another user, so that nothing in it is setuid.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends libatomic1 libstdc++6 mount \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/cache/ldconfig/aux-cache \
           /var/lib/dpkg/*-old /var/log/apt /var/log/*.log \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && echo 'countersign:x:65532:65532::/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'countersign:x:65532:' >> /etc/group
COPY --from=build /out/node /usr/local/bin/node
COPY --from=build /out/countersign /opt/countersign
ENV PATH=/opt/countersign/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The agent alone is run as root, by its DaemonSet.
USER 65532:65532
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Countersign" \
      org.opencontainers.image.description="Sidecar-free workload identity and mTLS broker for Kubernetes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      dev.countersign.sbom="/opt/countersign/sbom.cdx.json" \
      dev.countersign.sbom.format="application/vnd.cyclonedx+json;version=1.5" \
      dev.countersign.licenses="/opt/countersign/LICENSES"
CMD ["countersign", "--help"]
