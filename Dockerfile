# The collector. Built and run by docker-compose.yml.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
COPY instrumentation instrumentation
COPY collector collector
COPY analyzer analyzer
COPY examples examples
RUN python -m venv /opt/stepsize && /opt/stepsize/bin/pip install --no-cache-dir --constraint constraints.txt '.[notify,s3]'

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home stepsize && install -d -o stepsize -m 0700 /data
COPY --from=build /opt/stepsize /opt/stepsize
COPY collector/otel-config.yaml /etc/stepsize/otel-config.yaml
ENV PATH=/opt/stepsize/bin:$PATH STEPSIZE_DATA=/data STEPSIZE_RUNTIME=/tmp/stepsize
USER stepsize
VOLUME /data
EXPOSE 4317 4318
ENTRYPOINT ["stepsize"]
CMD ["collect", "--config", "/etc/stepsize/otel-config.yaml"]
