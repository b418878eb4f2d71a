"""The commands: where each is, and what it does in a few words.

The words are here and not only at the command, so that listing them imports none.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """A command's place as `module:name`, and its help in one line."""

    place: str
    help: str


COMMANDS = {
    "serve": Entry("nixeryd.cli.serve:serve", "Serve images on localhost:5000."),
    "run": Entry("nixeryd.cli.run:run", "Build an image and run it."),
    "pull": Entry("nixeryd.cli.pull:pull", "Build or fetch images ahead of time."),
    "list": Entry("nixeryd.cli.list:list_images", "List the images in the cache."),
    "show": Entry("nixeryd.cli.show:show", "Show an image and its layers."),
    "rm": Entry("nixeryd.cli.names:rm", "Remove images from the cache."),
    "pin": Entry("nixeryd.cli.names:pin", "Keep images whatever the cache's cap."),
    "unpin": Entry("nixeryd.cli.names:unpin", "Let pinned images go again."),
    "gc": Entry("nixeryd.cli.gc:gc", "Remove what was not used for longest."),
    "verify": Entry("nixeryd.cli.verify:verify", "Compare the cache with its digests."),
    "export": Entry("nixeryd.cli.export:export", "Write an image into an archive."),
    "search": Entry("nixeryd.cli.search:search", "Find packages by their names."),
    "popularity": Entry(
        "nixeryd.cli.popularity:popularity", "Count what is popular in your store."
    ),
    "status": Entry("nixeryd.cli.status:status", "Show what the daemon is doing."),
    "setup": Entry(
        "nixeryd.cli.setup:setup", "Have a container engine pull from here."
    ),
    "config": Entry("nixeryd.cli.config:config", "Show, check, reload the settings."),
    "offline": Entry("nixeryd.cli.offline:offline", "Ask no other registry anything."),
    "service": Entry("nixeryd.cli.service:service", "Have systemd or launchd run it."),
    "doctor": Entry("nixeryd.cli.doctor:doctor", "Say what is amiss, what to type."),
    "completions": Entry(
        "nixeryd.cli.completions:completions", "Print completions for a shell."
    ),
}
