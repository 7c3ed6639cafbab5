# stepsize as a container: the collector unless another command is given. docker-compose.yml and docs/deploy.md use it.
FROM python:3.12.14-slim-trixie@sha256:2f17fc044b579bab302c2e8054d3a686e2cb9a83de48e70534b94cd8ebbe06a9 AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
COPY instrumentation instrumentation
COPY collector collector
COPY analyzer analyzer
COPY examples examples
# What builds is pinned as what runs is, and is not needed afterwards.
RUN python -m venv /opt/stepsize \
 && /opt/stepsize/bin/pip install --no-cache-dir --constraint constraints.txt setuptools \
 && /opt/stepsize/bin/pip install --no-cache-dir --no-build-isolation --constraint constraints.txt '.[notify,s3]' \
 && /opt/stepsize/bin/pip uninstall --yes setuptools pip

FROM python:3.12.14-slim-trixie@sha256:2f17fc044b579bab302c2e8054d3a686e2cb9a83de48e70534b94cd8ebbe06a9
# A volume that is new takes owner and mode of the directory that it is mounted on.
RUN groupadd --gid 10001 stepsize \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin stepsize \
 && install -d -o 10001 -g 10001 -m 0700 /data /run/stepsize /scratch
COPY --from=build /opt/stepsize /opt/stepsize
COPY collector/otel-config.yaml /etc/stepsize/otel-config.yaml
ENV PATH=/opt/stepsize/bin:$PATH STEPSIZE_DATA=/data STEPSIZE_RUNTIME=/tmp/stepsize
USER 10001:10001
VOLUME /data
EXPOSE 4317 4318
ENTRYPOINT ["stepsize"]
CMD ["collect", "--config", "/etc/stepsize/otel-config.yaml"]
