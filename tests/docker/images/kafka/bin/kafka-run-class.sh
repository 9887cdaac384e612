#!/bin/bash
# Runs a class of Kafka, with the options that the variables of Kafka's own scripts hold.
home="$(dirname "$(dirname "$(readlink -f "$0")")")"
: "${KAFKA_HEAP_OPTS:=-Xmx256M}"
: "${KAFKA_JVM_PERFORMANCE_OPTS:=-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true}"
: "${KAFKA_LOG4J_OPTS:=-Dlog4j2.configurationFile=$home/config/tools-log4j2.yaml}"
# Each of them is a list of options.
# shellcheck disable=SC2086
exec java $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS -Dkafka.logs.dir="$home/logs" $KAFKA_LOG4J_OPTS \
    -cp "$home/libs/*" ${KAFKA_OPTS:-} "$@"
