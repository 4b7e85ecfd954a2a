"""Serialises messages of the scheduler's API and of the Open Inference Protocol with protoc and Python's protobuf.

The definitions beside this file are written from field numbers, apart from those in api/proto, so a wrong number there
cannot agree with a wrong number here by construction. See README.md for how to run it.
"""

import base64
import importlib
import json
import sys
import tempfile
from pathlib import Path

from google.protobuf import json_format
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent

TIME = {"seconds": "1700000000", "nanos": 5}
KUBERNETES = {"namespace": "seldon-mesh", "generation": "7"}
MODEL = {
    "meta": {"name": "iris", "kind": "Model", "version": "v1", "kubernetesMeta": KUBERNETES},
    "modelSpec": {
        "uri": "gs://bucket/iris",
        "artifactVersion": 3,
        "storageConfig": {"storageSecretName": "secret"},
        "requirements": ["sklearn", "onnx"],
        "memoryBytes": "18446744073709551615",
        "server": "mlserver",
        "parameters": [{"name": "a", "value": "b"}],
        "modelRuntimeInfo": {"triton": {"cpu": [{"instanceCount": 2}]}},
        "explainer": {"type": "anchor_tabular", "modelRef": "income"},
    },
    "deploymentSpec": {"replicas": 2, "minReplicas": 1, "maxReplicas": 300, "logPayloads": True},
    "streamSpec": {"inputTopic": "in", "outputTopic": "out"},
    "dataflowSpec": {"cleanTopicsOnDelete": True},
}
PIPELINE = {
    "name": "chain",
    "uid": "u1",
    "version": 4,
    "steps": [
        {
            "name": "first",
            "inputs": ["chain.inputs"],
            "joinWindowMs": 10,
            "tensorMap": {"a": "b"},
            "inputsJoin": 2,
            "triggers": ["other.outputs"],
            "triggersJoin": 1,
            "batch": {"size": 5, "windowMs": 6},
        }
    ],
    "output": {"steps": ["first"], "joinWindowMs": 20, "stepsJoin": 1, "tensorMap": {"c": "d"}},
    "kubernetesMeta": KUBERNETES,
    "input": {
        "externalInputs": ["up.outputs"],
        "externalTriggers": ["up.inputs"],
        "joinWindowMs": 30,
        "joinType": 1,
        "triggersJoin": 2,
        "tensorMap": {"e": "f"},
    },
    "dataflowSpec": {"cleanTopicsOnDelete": True},
    "allowCycles": True,
    "maxStepRevisits": 9,
}
SPARSE_MODEL = {"meta": {"name": "small"}, "modelSpec": {"uri": "/m", "llm": {"pipelineRef": "p"}}}

# (call, side, message of the definitions beside this file, content)
SCHEDULER = [
    ("LoadModel", "request", "LoadModelRequest", {"model": MODEL}),
    ("LoadModel", "request", "LoadModelRequest", {"model": SPARSE_MODEL}),
    ("LoadModel", "response", "Empty", {}),
    ("UnloadModel", "request", "UnloadModelRequest", {"model": {"name": "iris", "version": 2}, "kubernetesMeta": KUBERNETES}),
    ("ModelStatus", "request", "ModelStatusRequest", {"subscriberName": "cli", "model": {"name": "iris"}, "allVersions": True}),
    (
        "ModelStatus",
        "response",
        "ModelStatusResponse",
        {
            "modelName": "iris",
            "versions": [
                {
                    "version": 300,
                    "serverName": "mlserver",
                    "kubernetesMeta": KUBERNETES,
                    "modelReplicaState": {"1": {"state": 9, "reason": "ok", "lastChangeTimestamp": TIME}},
                    "state": {
                        "state": 2,
                        "reason": "fine",
                        "availableReplicas": 1,
                        "unavailableReplicas": 2,
                        "lastChangeTimestamp": TIME,
                        "modelGwState": 10,
                        "modelGwReason": "gateway",
                    },
                    "modelDefn": MODEL,
                }
            ],
            "deleted": True,
            "keepTopics": True,
            "timestamp": "9007199254740993",
            "operation": 2,
        },
    ),
    ("SubscribeModelStatus", "request", "ModelSubscription", {"subscriberName": "gw", "isModelGateway": True}),
    *[
        ("ModelStatus", "response", "ModelStatusResponse", {"versions": [{"state": {"state": state}}]})
        for state in range(1, 11)
    ],
    *[
        ("ModelStatus", "response", "ModelStatusResponse", {"versions": [{"modelReplicaState": {"1": {"state": state}}}]})
        for state in range(1, 13)
    ],
    (
        "ServerNotify",
        "request",
        "ServerNotifyRequest",
        {
            "servers": [
                {
                    "name": "mlserver",
                    "expectedReplicas": 3,
                    "minReplicas": 1,
                    "maxReplicas": 5,
                    "shared": True,
                    "kubernetesMeta": KUBERNETES,
                },
                {"name": "triton"},
            ],
            "isFirstSync": True,
        },
    ),
    ("ServerStatus", "request", "ServerStatusRequest", {"subscriberName": "cli", "name": "mlserver"}),
    ("SubscribeServerStatus", "request", "Subscriber", {"subscriberName": "operator"}),
    *[
        (
            "ServerStatus",
            "response",
            "ServerStatusResponse",
            {
                "type": kind,
                "serverName": "mlserver",
                "resources": [
                    {
                        "replicaIdx": 1,
                        "totalMemoryBytes": "10000000000",
                        "availableMemoryBytes": "9999999999",
                        "numLoadedModels": 4,
                        "overCommitPercentage": 20,
                    }
                ],
                "expectedReplicas": -1,
                "availableReplicas": 2,
                "numLoadedModelReplicas": 6,
                "kubernetesMeta": KUBERNETES,
            },
        )
        for kind in (1, 2, 4)
    ],
    (
        "StartExperiment",
        "request",
        "StartExperimentRequest",
        {
            "experiment": {
                "name": "ab",
                "default": "a",
                "candidates": [{"name": "a", "weight": 70}, {"name": "b", "weight": 30}],
                "mirror": {"name": "c", "percent": 50},
                "config": {"stickySessions": True},
                "kubernetesMeta": KUBERNETES,
                "resourceType": 1,
            }
        },
    ),
    (
        "ExperimentStatus",
        "response",
        "ExperimentStatusResponse",
        {
            "experimentName": "ab",
            "active": True,
            "candidatesReady": True,
            "mirrorReady": True,
            "statusDescription": "ready",
            "kubernetesMeta": KUBERNETES,
        },
    ),
    ("LoadPipeline", "request", "LoadPipelineRequest", {"pipeline": PIPELINE}),
    ("PipelineStatus", "request", "PipelineStatusRequest", {"subscriberName": "cli", "name": "chain", "allVersions": True}),
    (
        "SubscribePipelineStatus",
        "request",
        "PipelineSubscription",
        {"subscriberName": "gw", "subscriberIp": "10.0.0.1", "isPipelineGateway": True},
    ),
    (
        "PipelineStatus",
        "response",
        "PipelineStatusResponse",
        {
            "pipelineName": "chain",
            "versions": [
                {
                    "pipeline": PIPELINE,
                    "state": {
                        "pipelineVersion": 4,
                        "status": 3,
                        "reason": "r",
                        "lastChangeTimestamp": TIME,
                        "modelsReady": True,
                        "pipelineGwStatus": 9,
                        "pipelineGwReason": "g",
                    },
                }
            ],
            "timestamp": "12",
            "operation": 2,
        },
    ),
    ("SchedulerStatus", "request", "Subscriber", {"subscriberName": "cli"}),
    ("SchedulerStatus", "response", "SchedulerStatusResponse", {"applicationVersion": "0.0.1"}),
    *[("SubscribeControlPlane", "response", "ControlPlaneResponse", {"event": event}) for event in range(1, 5)],
    (
        "ModelStatusEvent",
        "request",
        "ModelUpdateStatus",
        {
            "update": {"op": 2, "model": "iris", "version": 3, "uid": "u", "timestamp": "8", "stream": "s"},
            "success": True,
            "reason": "r",
        },
    ),
]

PARAMETERS = {
    "b": {"boolParam": True},
    "d": {"doubleParam": -2.5},
    "i": {"int64Param": "-9223372036854775808"},
    "s": {"stringParam": "text"},
    "u": {"uint64Param": "18446744073709551615"},
}
RAW = base64.b64encode(bytes(range(16))).decode()


def tensor(name, datatype, shape, **contents):
    return {"name": name, "datatype": datatype, "shape": shape, **({"contents": contents} if contents else {})}


TYPED = [
    tensor("bool", "BOOL", ["2"], boolContents=[True, False]),
    tensor("int", "INT8", ["2"], intContents=[-128, 127]),
    tensor("int64", "INT64", ["2"], int64Contents=["-9223372036854775808", "9007199254740993"]),
    tensor("uint", "UINT32", ["1", "1"], uintContents=[4294967295]),
    tensor("uint64", "UINT64", ["1"], uint64Contents=["18446744073709551615"]),
    tensor("fp32", "FP32", ["1", "2"], fp32Contents=[1.5, -0.25]),
    tensor("fp64", "FP64", ["1"], fp64Contents=[0.1]),
    tensor("bytes", "BYTES", ["1"], bytesContents=[RAW]),
]
OIP = [
    ("ServerLive", "response", "Live", {"live": True}),
    ("ServerReady", "response", "Ready", {"ready": True}),
    ("ModelReady", "request", "ModelName", {"name": "iris", "version": "1"}),
    ("ModelReady", "response", "Ready", {"ready": True}),
    ("ServerMetadata", "response", "ServerMetadata", {"name": "n", "version": "v", "extensions": ["a", "b"]}),
    ("ModelMetadata", "request", "ModelName", {"name": "iris", "version": "1"}),
    (
        "ModelMetadata",
        "response",
        "ModelMetadata",
        {
            "name": "iris",
            "versions": ["1", "2"],
            "platform": "onnx",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"], "parameters": {"s": {"stringParam": "t"}}}],
            "outputs": [{"name": "y", "datatype": "INT64", "shape": ["-1"]}],
            "parameters": PARAMETERS,
        },
    ),
    (
        "ModelInfer",
        "request",
        "InferRequest",
        {
            "modelName": "iris",
            "modelVersion": "1",
            "id": "r1",
            "parameters": PARAMETERS,
            "inputs": TYPED,
            "outputs": [{"name": "y", "parameters": {"b": {"boolParam": True}}}],
        },
    ),
    (
        "ModelInfer",
        "request",
        "InferRequest",
        {"modelName": "iris", "inputs": [tensor("x", "FP32", ["1", "4"])], "rawInputContents": [RAW]},
    ),
    ("ModelInfer", "response", "InferResponse", {"modelName": "iris_1", "modelVersion": "1", "id": "r1", "outputs": TYPED}),
    (
        "ModelInfer",
        "response",
        "InferResponse",
        {"modelName": "iris_1", "outputs": [tensor("y", "FP16", ["8"])], "rawOutputContents": [RAW]},
    ),
    ("RepositoryIndex", "request", "IndexRequest", {"repositoryName": "r", "ready": True}),
    (
        "RepositoryIndex",
        "response",
        "Index",
        {"models": [{"name": "iris_1", "version": "1", "state": "READY", "reason": "because"}]},
    ),
    (
        "RepositoryModelLoad",
        "request",
        "RepositoryCall",
        {"repositoryName": "r", "modelName": "iris_1", "parameters": {"f": {"bytesParam": RAW}}},
    ),
    (
        "RepositoryModelUnload",
        "request",
        "RepositoryCall",
        {"repositoryName": "r", "modelName": "iris_1", "parameters": {"i": {"int64Param": "-1"}}},
    ),
]


def compile_definitions(folder: Path) -> None:
    """protoc writes Python modules for the definitions into `folder`, which becomes importable."""
    for name in ("oip", "scheduler"):
        code = protoc.main(["protoc", f"-I{HERE}", f"--python_out={folder}", f"{name}.proto"])
        if code != 0:
            sys.exit(f"protoc failed on {name}.proto")
    sys.path.insert(0, str(folder))


def write_fixtures(name: str, cases) -> None:
    module = importlib.import_module(f"{name}_pb2")
    fixtures = []
    for call, side, message, content in cases:
        filled = json_format.ParseDict(content, getattr(module, message)())
        wire = base64.b64encode(filled.SerializeToString(deterministic=True)).decode()
        fixtures.append({"call": call, "side": side, "wire": wire, "content": json_format.MessageToDict(filled)})
    lines = ",\n".join("  " + json.dumps(fixture, sort_keys=True) for fixture in fixtures)
    (HERE / "fixtures" / f"{name}.json").write_text(f"[\n{lines}\n]\n")
    print(f"{name}: {len(fixtures)} fixtures")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        compile_definitions(Path(folder))
        write_fixtures("scheduler", SCHEDULER)
        write_fixtures("oip", OIP)
