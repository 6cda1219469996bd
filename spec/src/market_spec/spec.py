"""The whole spec of a MarketCollector, with the template of the pods.

The template has a module of its own because pods never load it: it would cost each collector 0.2 MB.
"""

from collections.abc import Iterator
from typing import Annotated

from market_spec.collection import Collection
from market_spec.fields import Labels, overlap
from market_spec.kinds import Entries, Findings
from market_spec.messages import shown
from market_spec.section import Block, Rule, Violation
from market_spec.template import Template, labels_rule


def _mounts_over_sinks(spec: "Spec") -> Iterator[Violation]:
    directories = [sink.file.directory for sink in spec.sinks if sink.file]
    for number, mount in enumerate(spec.template.volume_mounts or ()):
        for directory in directories:
            if overlap(mount.mount_path, directory):
                given = f"{shown(mount.mount_path)} and {shown(directory)}"
                yield Violation(("template", "volumeMounts", number, "mountPath"), given)


class Spec(Collection, frozen=True, kw_only=True):
    """Exchange, symbols and data to collect, the sinks of the records, and the template of the pods."""

    rules = (
        *Collection.rules,
        Rule(
            "!has(self.template.volumeMounts) || !self.template.volumeMounts.exists(m, self.sinks.exists(s, "
            "has(s.file) && ((m.mountPath + '/').startsWith(s.file.directory + '/') || "
            "s.file.directory.startsWith(m.mountPath + '/'))))",
            "a volumeMount and a sink's directory must not overlap",
            _mounts_over_sinks,
            "template.volumeMounts",
        ),
        labels_rule("commonLabels", "common_labels"),
    )
    common_labels: Annotated[
        Labels | None,
        Entries(32),
        "Labels that are added to all managed objects and their pods, for policies and cost reports. Default none. "
        "template.labels reach the pods only, and come first there.",
    ] = None
    template: Annotated[
        Template,
        "Additions to the pods: labels, resources, placement, image, volumes. Default: none.",
    ] = Template()


def read_spec(document: object, findings: Findings) -> Spec | None:
    """The spec in a document, with all defaults; None when a fault was found."""
    spec: Spec | None = Block(Spec).read(document, ("spec",), findings)
    return spec
