"""`omnicare`: the entry point of the installed script and of `python -m bot`."""


def main() -> None: ...


if __name__ == "__main__":
    main()
