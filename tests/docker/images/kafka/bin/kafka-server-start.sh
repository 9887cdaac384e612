#!/bin/bash
home="$(dirname "$(dirname "$(readlink -f "$0")")")"
export KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}"
export KAFKA_LOG4J_OPTS="${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=$home/config/log4j2.yaml}"
exec "$home/bin/kafka-run-class.sh" kafka.Kafka "$@"
