"""The Helm chart, rendered by the real Helm, fits Kubernetes' schemas, and refuses values that could not work."""

from typing import Any, Final

import kubernetes_validate
import pytest

from claude_gatewayd.aws.profiles import chain
from claude_gatewayd.aws.profiles.source import find_source
from claude_gatewayd.config import loading
from tests.support import helm

ALL: Final[dict[str, Any]] = {
    "secret.name": "gateway",
    "autoscaling.enabled": True,
    "ingress.enabled": True,
    "serviceMonitor.enabled": True,
    "serviceMonitor.labels": {"release": "prometheus"},
    "serviceAccount.annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/gateway"},
    "trustedProxies": ["10.0.0.0/8"],
    "caConfigMap": "company-ca",
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "gateways", "operator": "Exists"}],
    "podAnnotations": {"team": "platform"},
    "networkPolicy.from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}],
}
KINDS: Final = {"ConfigMap", "ServiceAccount", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
WITH_DATABASE: Final = {"CLAUDE_GATEWAY_SHARED_URL": "postgresql://u:p@db.example/ledger"}
LEAST: Final[dict[str, Any]] = {
    "replicas": 1,
    "networkPolicy.enabled": False,
    "podDisruptionBudget.enabled": False,
    "podSecurityContext": None,
}


def container(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (only,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(only)


def environment(objects: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return what a pod's gateway sees, but for secrets and files, which are not here."""
    values = {one["name"]: one["value"] for one in container(objects)["env"] if "value" in one}
    values.pop("CLAUDE_GATEWAY_NETWORK_CA_FILE", "")
    address = "10.1.2.3"  # as the kubelet fills it in
    return {"HOME": "/nonexistent", **{name: value.replace("$(POD_IP)", address) for name, value in values.items()}}


@pytest.mark.parametrize("version", ["1.30", "1.34", "1.37"])
@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (ALL, KINDS | {"Ingress", "HorizontalPodAutoscaler", "ServiceMonitor"}),
        (LEAST, KINDS - {"NetworkPolicy", "PodDisruptionBudget"}),
        ({"secret.name": "gateway"}, KINDS),
    ],
    ids=["all", "least", "usual"],
)
def test_it_fits_the_schemas_of_kubernetes(version: str, values: dict[str, Any], kinds: set[str]) -> None:
    objects = helm.render(**values)
    assert set(objects) == kinds
    for kind, one in objects.items():
        if kind != "ServiceMonitor":
            kubernetes_validate.validate(one, version, strict=True)


def test_the_schemas_would_refuse_a_wrong_field() -> None:
    deployment = helm.render(**ALL)["Deployment"]
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 5
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.34", strict=True)


def test_helm_lints_it() -> None:
    assert "0 chart(s) failed" in helm.run("lint", str(helm.CHART), "--strict", "--set", "secret.name=gateway")


def test_the_service_monitor_fits_prometheus_operators_types() -> None:
    monitor = helm.render(**ALL)["ServiceMonitor"]
    assert helm.errors_of_service_monitor(monitor) == []
    monitor["spec"]["endpoints"][0]["interval"] = "soon"
    assert helm.errors_of_service_monitor(monitor) != []


def test_each_selector_finds_the_pods_and_the_service() -> None:
    objects = helm.render(**ALL)
    pod, service = objects["Deployment"]["spec"]["template"]["metadata"]["labels"], objects["Service"]
    selectors = {
        "Deployment": objects["Deployment"]["spec"]["selector"]["matchLabels"],
        "Service": service["spec"]["selector"],
        "PodDisruptionBudget": objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    }
    assert {kind for kind, wanted in selectors.items() if not wanted.items() <= pod.items()} == set()
    assert objects["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (
        objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
        == (objects["Deployment"]["metadata"]["name"])
    )


def test_a_pod_may_take_as_long_to_end_as_its_gateway() -> None:
    shutdown = {"preStopSeconds": 3, "leaveAfter": 20, "drainTimeout": 1200}
    objects = helm.render(**ALL, shutdown=shutdown)
    assert objects["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 3 + 20 + 1200 + 15
    assert container(objects)["lifecycle"]["preStop"] == {"sleep": {"seconds": 3}}
    listen = loading.load(WITH_DATABASE | environment(objects)).listen
    assert (listen.leave_after, listen.drain_timeout) == (20, 1200)


def test_the_gateway_understands_its_environment() -> None:
    config = loading.load(WITH_DATABASE | environment(helm.render(**ALL)))
    assert (config.listen.host, config.listen.port, config.listen.remote) == ("0.0.0.0", 47000, True)
    assert {"gateway.example", "10.1.2.3"} <= set(config.listen.hosts)
    assert [str(one) for one in config.listen.trusted_proxies] == ["10.0.0.0/8"]
    assert config.shared.secret_file == "/run/secrets/claude-gateway/shared.secret"


def test_the_region_is_bedrocks_and_not_the_clusters() -> None:
    environ = WITH_DATABASE | environment(helm.render(**ALL, region="eu-west-1")) | {"AWS_REGION": "us-east-2"}
    assert loading.load(environ).bedrock.region == "eu-west-1"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, "web-identity"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}, "container"),
    ],
    ids=["IRSA", "Pod Identity"],
)
def test_a_pods_role_turns_bedrock_on(given: dict[str, str], kind: str) -> None:
    environ = WITH_DATABASE | environment(helm.render(**ALL)) | given
    config = loading.load(environ)
    source = find_source(environ, config.bedrock.profile)
    found = chain.of_container(source.environ)
    assert (config.bedrock.enabled, source.kind, found and found.kind) == ("auto", "container", kind)


def test_the_probes_are_those_of_the_gateway() -> None:
    found = container(helm.render(**ALL))
    paths = {name: found[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_a_pod_has_no_rights_that_it_does_not_need() -> None:
    objects = helm.render(**ALL)
    pod, found = objects["Deployment"]["spec"]["template"]["spec"], container(objects)
    assert pod["automountServiceAccountToken"] is False
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["fsGroup"]) == (True, 65532)
    assert found["securityContext"] == {
        "runAsUser": 65532,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {one["name"] for one in found["volumeMounts"] if not one.get("readOnly")}
    assert writable == {one["name"] for one in pod["volumes"] if "emptyDir" in one} == {"state", "tmp"}


def test_secrets_are_references() -> None:
    objects = helm.render(**ALL)
    assert "Secret" not in objects
    (url,) = (one for one in container(objects)["env"] if one["name"] == "CLAUDE_GATEWAY_SHARED_URL")
    assert url["valueFrom"] == {"secretKeyRef": {"name": "gateway", "key": "database-url"}}
    (secret,) = (
        one["secret"] for one in objects["Deployment"]["spec"]["template"]["spec"]["volumes"] if "secret" in one
    )
    assert (secret["secretName"], secret["defaultMode"]) == ("gateway", 0o440)


def test_a_change_of_the_configuration_rolls_the_deployment() -> None:
    def checksum(config: str) -> str:
        annotations = helm.render(**ALL, config=config)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/config"])

    assert checksum("") == checksum("") != checksum('[log]\nlevel = "warning"\n')


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "several gateways need secret.name"),
        ({"replicas": 1, "autoscaling.enabled": True}, "several gateways need secret.name"),
        ({"replicas": 1, "serviceMonitor.enabled": True}, "serviceMonitor needs secret.name"),
        ({"secret.name": "s", "config": "[listen]\ndrain_timeout = 5\n"}, r"config sets \[listen\] drain_timeout"),
        ({"secret.name": "s", "config": '[listen]\n  host="0.0.0.0"\n'}, r"config sets \[listen\] host"),
        ({"secret.name": "s", "config": '[ledger]\nurl = "postgresql://u:p@h/d"\n'}, "put it into the Secret"),
    ],
)
def test_values_that_could_not_work_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(helm.Refused, match=sentence):
        helm.render(**values)


def test_the_same_words_in_other_sections_are_nobodys_business() -> None:
    config = "[listen]\nworkers = 2\n[dashboard]\nremote = true\n"
    assert "remote = true" in helm.render(**ALL, config=config)["ConfigMap"]["data"]["config.toml"]
