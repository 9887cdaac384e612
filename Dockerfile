# Airflow with everything that Paylake's DAGs and Spark jobs need, for the Astro CLI and for Docker Compose; and MinIO.
# The base may also be the official image, --build-arg BASE=apache/airflow:3.3.2-python3.12: another home folder,
# another user. What changes often comes last, so that a changed DAG rebuilds nothing heavy.
ARG BASE=astrocrpublic.azurecr.io/runtime:3.3-8-python-3.12

FROM golang:1.27.3-bookworm AS minio-build
# include/local/setup/minio_build.py builds the same version for the stack without Docker.
ARG MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "github.com/minio/minio@${MINIO_VERSION}"

FROM debian:12.12-slim AS minio
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 1000 minio && install -d -o minio -g minio /data
COPY --from=minio-build /go/bin/minio /usr/local/bin/minio
USER minio
EXPOSE 9000 9001
ENTRYPOINT ["minio"]
CMD ["server", "--address", ":9000", "--console-address", ":9001", "/data"]

# The jars of Spark's connectors, each one pinned by its SHA-256.
FROM debian:12.12-slim AS jars
RUN apt-get update && apt-get install -y --no-install-recommends default-jre-headless ivy && rm -rf /var/lib/apt/lists/*
COPY include/local/setup/ivy/spark.xml include/local/setup/ivy/spark.sha256 /pins/
RUN java -cp /usr/share/java/ivy.jar org.apache.ivy.Main -ivy /pins/spark.xml -types jar bundle \
        -retrieve "/jars/[artifact]-[revision](-[classifier]).[ext]" \
    && cd /jars && sha256sum --check --strict --quiet /pins/spark.sha256 \
    && test "$(ls | wc -l)" = "$(wc -l < /pins/spark.sha256)"

# The runtime's own triggers install packages.txt and requirements.txt and copy the project, as user 50000. The official
# image has none; there the steps below do it.
FROM ${BASE} AS airflow
USER root
COPY packages.txt ./
RUN command -v java > /dev/null || { apt-get update \
    && xargs -r -a packages.txt apt-get install -y --no-install-recommends && rm -rf /var/lib/apt/lists/*; }
USER 50000
COPY --chown=50000:0 requirements.txt ./
RUN python -c "import airflow; version = airflow.__version__; \
assert version.startswith('3.3.2'), f'The base image has Airflow {version}; Paylake needs 3.3.2.'"
RUN python -c "import pyspark" 2> /dev/null || pip install --no-cache-dir "apache-airflow==3.3.2" -r requirements.txt
COPY --from=jars /jars /opt/paylake/jars
COPY --chown=50000:0 . .
USER root
# The bases have empty folders where Airflow looks; the Astro CLI mounts the project's own upon these names.
RUN rm -rf dags plugins && ln -s airflow/dags dags && ln -s airflow/plugins plugins \
    && PYTHONPATH=. python -m include.spark.home /opt/paylake/spark /opt/paylake/jars \
    && install -d -o 50000 -g 0 -m 0775 /opt/paylake/logs
USER 50000
# SPT_NOENV: titles of processes do not overwrite their variables.
ENV PYTHONPATH=${AIRFLOW_HOME}:${AIRFLOW_HOME}/plugins \
    SPARK_HOME=/opt/paylake/spark/home \
    SPARK_CONF_DIR=/opt/paylake/spark/conf \
    SPARK_LOCAL_IP=127.0.0.1 \
    SPT_NOENV=1
