"""Asks a model through Kafka, and waits for its answer: pip install kafka-python, then python ask_model.py iris request.json."""
import os
import sys
import uuid

from kafka import KafkaConsumer, KafkaProducer

model, request = sys.argv[1], open(sys.argv[2], "rb").read()
servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
topic = f"seldon.default.model.{model}"
errors = "seldon.default.errors.errors"
key = uuid.uuid4().hex.encode()

answers = KafkaConsumer(
    f"{topic}.outputs",
    errors,
    bootstrap_servers=servers,
    group_id=None,
    auto_offset_reset="earliest",
    consumer_timeout_ms=30_000,
)
producer = KafkaProducer(bootstrap_servers=servers)
headers = [("content-type", b"application/json"), ("x-request-id", key)]
producer.send(f"{topic}.inputs", key=key, value=request, headers=headers).get(timeout=10)

for record in answers:
    if record.key == key:
        print(record.value.decode())
        sys.exit(1 if record.topic == errors else 0)
sys.exit("no answer within 30 s")
