#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""details: facts of a book. GET /details/0"""
from common import NAME, VERSION, json_response, main


def answer(request):
    if not request.path.startswith("/details/"):
        return json_response({"error": f"no such path: {request.path}"}, 404)
    return json_response({"service": "details", "version": VERSION, "pod": NAME, "id": request.path.rsplit("/", 1)[1],
                          "author": "William Shakespeare", "year": 1595, "type": "paperback", "pages": 200, "language": "English"})


if __name__ == "__main__":
    main(answer)
