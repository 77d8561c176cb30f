"""``gstar doctor``: what this machine has, and what is missing."""

from __future__ import annotations

from gstar.cli import options
from gstar.cli.screen import show, show_facts, show_json, show_table
from gstar.cli.text import without_password


def doctor(experience: options.Place = None, json: options.Json = False, debug: options.Debug = False) -> None:
    """Says what is installed, what may be used of the machine, where things are kept, and what is missing."""
    from gstar.doctor import examine

    settings = options.given(experience=experience)
    report = examine(settings)
    if json:
        show_json(report)
        return
    machine, places, kept = report["machine"], report["places"], report["experience"]
    show_facts(
        [
            ("gstar", report["versions"]["gstar"]),
            ("Python", report["versions"]["python"]),
            ("System", machine["system"]),
            ("Cores", f"{machine['cores']} of {machine['cores_installed']}"),
            ("Memory", f"{machine['memory_limit_mb']:.0f} MiB, {machine['memory_free_mb']:.0f} MiB free"),
            ("Temporary files", f"{places['temporary']} ({machine['disk_free_mb']:.0f} MiB free)"),
            ("Home", places["home"]),
            ("Settings", ", ".join(places["settings"]) or "none; defaults count"),
            ("Experience", f"{without_password(kept['place'])}, mode {kept['mode']}: {kept['state']}"),
            ("SQLite", kept["sqlite"]),
            ("Journal", f"{kept['journal_mode']}: {kept['journal_reason']}"),
        ]
    )
    show_table(
        ("learner", "state", "how to get it"),
        ((name, one["state"], one["get"]) for name, one in report["learners"].items()),
        title="Learners:",
    )
    show_table(
        ("library", "version", "for"),
        ((name, one["version"] or "missing", one["get"]) for name, one in report["libraries"].items()),
        title="Libraries:",
    )
    show("", *(report["problems"] or ["All is well."]))
