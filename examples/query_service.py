"""Ask a running service (`streamrec serve`) for the items closest to an item, with their features.

[STREAMREC_TOKEN=...] python examples/query_service.py http://127.0.0.1:8080 ITEM_ID [K]
"""

import os
import sys

from streamrec.client import Client, ServiceError


def main() -> None:
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    k = int(sys.argv[3]) if len(sys.argv) == 4 else 10
    try:
        with Client(sys.argv[1], os.environ.get("STREAMREC_TOKEN")) as client:
            found = client.neighbours(sys.argv[2], k, features=True)
    except ServiceError as error:
        raise SystemExit(f"{error.code}: {error}") from None
    print(f"bundle {found.bundle}")
    for item in found.items:
        print(f"{item.score:.4f}  {item.id}  {item.features}")


if __name__ == "__main__":
    main()
