"""Reads OpenMetrics by the reference parser, and prints the samples as JSON: name, labels, value."""

import json
import sys

from prometheus_client.openmetrics import parser

text = sys.stdin.read()
families = list(parser.text_string_to_metric_families(text))
names = [family.name for family in families]
if len(set(names)) != len(names):
    sys.exit(f"families are there twice: {names}")
for family in families:
    if not family.documentation.endswith("."):
        sys.exit(f"{family.name} has no sentence of help")
    if not family.samples:
        sys.exit(f"{family.name} has no sample")
print(json.dumps([[sample.name, sample.labels, sample.value] for family in families for sample in family.samples]))
