"""Pages for MkDocs: READMEs are start pages, linked files have pages.

Links of the documents are those of the repository, as code hosts show them. A link to a document
stays; a link to a file or folder outside of `docs` leads to a page of its text.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
START = {"README.md": "index.md", "README_zh-CN.md": "zh/index.md"}
LANGUAGES = {".py": "python", ".sh": "bash", ".json": "json", ".txt": "text", ".yml": "yaml"}
FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
# How docstrings refer to each other, once Markdown has made code of it.
ROLE = re.compile(r":(?:class|func|meth):<code>~?([\w.]+)</code>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for readme, uri in START.items():
        files.append(File.generated(config, uri, content=(ROOT / readme).read_text()))
    for page in list(files.documentation_pages()):
        for part in FENCE.split(page.content_string)[::2]:
            for link in LINK.findall(part):
                target = resolved(page.src_uri, link)
                uri = site_uri(target)
                if uri.startswith("source/") and uri not in files.src_uris:
                    add_source(target, files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = page.file.src_uri
    if here.startswith("source/"):
        return markdown

    def on_site(link: re.Match) -> str:
        return posixpath.relpath(site_uri(resolved(here, link[0])), posixpath.dirname(here) or ".")

    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(on_site, part) for part in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    def reference(role: re.Match) -> str:
        short = role[1].rpartition(".")[2]
        return f'<autoref identifier="{role[1]}" optional><code>{short}</code></autoref>'

    return ROLE.sub(reference, html)


def resolved(uri: str, link: str) -> str:
    """The path within the repository that a link of a page means."""
    here = next((readme for readme, page in START.items() if page == uri), f"docs/{uri}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), link))


def site_uri(target: str) -> str:
    """The page, or the picture, that shows a path of the repository."""
    if target in START:
        return START[target]
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return f"source/{target}/index.md" if (ROOT / target).is_dir() else f"source/{target}.md"


def add_source(target: str, files: Files, config: MkDocsConfig) -> None:
    """Add the page of a file, or that of a folder and of the files in it; none if there is none."""
    path = ROOT / target
    if path.is_dir():
        names = sorted(child.name for child in path.iterdir() if child.suffix in LANGUAGES)
        for name in names:
            add_source(f"{target}/{name}", files, config)
        body = "\n".join(f"- [{name}]({name}.md)" for name in names)
    elif path.is_file():
        body = f"``````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text()}\n``````"
    else:
        return
    content = f"---\nsearch: {{exclude: true}}\n---\n# {target}\n\n{body}\n"
    uri, level = site_uri(target), InclusionLevel.NOT_IN_NAV
    files.append(File.generated(config, uri, content=content, inclusion=level))
