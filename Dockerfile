# SPDX-License-Identifier: Apache-2.0
#
# All images of Headgate: targets control, agent, provider (the simulator of
# model providers, for trying things out). Built by docker-compose.yml.

FROM debian:12-slim AS build
WORKDIR /src
COPY tests/tools tests/tools
RUN apt-get update -q \
    && DEPS_NPM=0 bash tests/tools/deps.sh build data \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make -j"$(nproc)" MODE=release B=/out all tokenizers

FROM debian:12-slim AS base
COPY tests/tools /tmp/tools/tests/tools
RUN apt-get update -q \
    && DEPS_NPM=0 bash /tmp/tools/tests/tools/deps.sh runtime \
    && rm -rf /var/lib/apt/lists/* /tmp/tools \
    && useradd --system --uid 10001 --user-group --no-create-home \
        --shell /usr/sbin/nologin headgate \
    && install -d -o headgate -g headgate -m 0750 \
        /var/lib/headgate /run/headgate-secrets /run/headgate-join
USER headgate
WORKDIR /var/lib/headgate

FROM base AS control
COPY deploy/compose /usr/local/share/headgate/compose
COPY examples/acme /usr/local/share/headgate/examples/acme
COPY --from=build /out/bin/headgate-control /out/bin/headgate /usr/local/bin/
COPY schema/catalog /usr/local/share/headgate/catalog
EXPOSE 7400 7401 7402
HEALTHCHECK --interval=5s --timeout=3s --retries=12 \
    CMD curl -fsS -o /dev/null http://127.0.0.1:7400/readyz
ENTRYPOINT ["headgate-control"]

FROM base AS agent
COPY --from=build /out/bin/headgate-agent /usr/local/bin/
COPY --from=build /out/share/headgate /usr/local/share/headgate
EXPOSE 7410
HEALTHCHECK --interval=5s --timeout=3s --retries=12 \
    CMD curl -fsS -o /dev/null http://127.0.0.1:7411/readyz
ENTRYPOINT ["headgate-agent"]

FROM base AS provider
COPY tests/demo/models.json /usr/local/share/headgate/models.json
COPY --from=build /out/bin/headgate-provider /usr/local/bin/
EXPOSE 7420
ENTRYPOINT ["headgate-provider"]
