"""The Kubernetes files, as far as they can be checked without a cluster: against Kubernetes's own JSON schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

HERE = Path(__file__).resolve().parents[1] / "deployments" / "kubernetes"
POOL: dict[str, Any] = json.loads((HERE / "work-pool.json").read_text(encoding="utf-8"))
OBJECTS = list(yaml.safe_load_all((HERE / "keepset.yaml").read_text(encoding="utf-8")))
VERSION = "1.31"


def job(**values: Any) -> dict[str, Any]:
    """The job that the pool's template gives: each placeholder its value, or the variable's default."""
    known = {name: v.get("default") for name, v in POOL["variables"]["properties"].items()}
    known |= {"command": ["prefect", "flow-run", "execute"], "env": [{"name": "A", "value": "1"}], **values}

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {k: fill(v) for k, v in part.items()}
        if isinstance(part, list):
            return [fill(v) for v in part]
        if not isinstance(part, str):
            return part
        whole = re.fullmatch(r"{{ (\w+) }}", part)
        return known[whole[1]] if whole else re.sub(r"{{ (\w+) }}", lambda m: str(known[m[1]]), part)

    filled: dict[str, Any] = fill(POOL["job_configuration"]["job_manifest"])
    return filled


@pytest.mark.parametrize("thing", OBJECTS, ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_each_object_is_valid(thing: dict[str, Any]) -> None:
    kubernetes_validate.validate(thing, VERSION, strict=True)


def test_the_jobs_of_the_pool_are_valid() -> None:
    made = job()
    pod = made["spec"]["template"]["spec"]
    # Prefect's worker insists on these two, in a place where Kubernetes does not know them and drops them.
    assert (pod.pop("completions"), pod.pop("parallelism")) == (1, 1)
    kubernetes_validate.validate(made, VERSION, strict=True)


def test_the_check_sees_a_mistake() -> None:
    wrong = job()
    wrong["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_every_placeholder_is_a_variable_and_every_variable_is_used() -> None:
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(POOL["job_configuration"])))
    assert used == set(POOL["variables"]["properties"])


def test_all_mount_the_same_workspace_and_run_as_the_images_user() -> None:
    pods = [o["spec"]["template"]["spec"] for o in OBJECTS if o["kind"] == "Deployment"]
    pods.append(job()["spec"]["template"]["spec"])
    claims = {
        v["persistentVolumeClaim"]["claimName"]
        for p in pods
        for v in p.get("volumes", [])
        if "emptyDir" not in v
    }
    assert claims == {o["metadata"]["name"] for o in OBJECTS if o["kind"] == "PersistentVolumeClaim"}
    mounts = {m["mountPath"] for p in pods for c in p["containers"] for m in c.get("volumeMounts", [])}
    assert mounts == {"/workspace", "/tmp"}
    dockerfile = (HERE.parent / "Dockerfile").read_text(encoding="utf-8")
    ours = [p for p in pods if "keepset" in p["containers"][0]["image"]]
    assert len(ours) == 4
    assert all(f"--uid {p['securityContext']['runAsUser']} " in dockerfile for p in ours)


def test_flow_runs_and_workers_may_speak_to_dask_and_nobody_else_may() -> None:
    (policy,) = [o["spec"] for o in OBJECTS if o["kind"] == "NetworkPolicy"]
    guarded = set(policy["podSelector"]["matchExpressions"][0]["values"])
    allowed = set(policy["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"])
    component = "app.kubernetes.io/component"
    labels = {
        o["spec"]["template"]["metadata"]["labels"][component] for o in OBJECTS if o["kind"] == "Deployment"
    }
    assert guarded == {"dask-scheduler", "dask-worker"} <= labels
    assert allowed == guarded | {job()["spec"]["template"]["metadata"]["labels"][component]}
