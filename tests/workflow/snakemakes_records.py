"""What Snakemake's own records say of products, to hold ours to."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path

from hippflow.cost.observations import base_rule
from hippflow.day.catalog import build_catalog
from hippflow.day.config import load_schema, read_config
from hippflow.day.dependencies import Dependencies
from hippflow.day.products import Products


def products_of(*files, settings=()):
    """All products of the workflow in the current folder."""
    config = read_config(
        [Path("config.yaml"), *map(Path, files)], list(settings), load_schema("schemas/config.schema.yaml")
    )
    return Products(config, build_catalog(config))


def check_dependencies(products):
    """Hold every product's rule, inputs and settings to what Snakemake wrote down when it made it; return the rules."""
    dependencies, kinds = Dependencies(products), set()
    for day in products.catalog.days:
        for product in products.of_day(day):
            code = urlsafe_b64encode(product.path.encode()).decode()
            assert len(code) < 255
            record = json.loads(Path(".snakemake/metadata", code).read_text())
            assert base_rule(record["rule"]) == product.kind
            assert sorted(record["input"]) == sorted(dependencies.inputs(product)), product
            assert record["params"] == sorted(map(repr, dependencies.settings(product))), product
            kinds.add(product.kind)
    return kinds
