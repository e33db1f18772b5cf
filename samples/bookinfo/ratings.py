#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ratings: stars by reviewer. GET /ratings/0"""
from common import NAME, VERSION, json_response, main


def answer(request):
    if not request.path.startswith("/ratings/"):
        return json_response({"error": f"no such path: {request.path}"}, 404)
    return json_response({"service": "ratings", "version": VERSION, "pod": NAME, "id": request.path.rsplit("/", 1)[1],
                          "end-user": request.headers.get("end-user"), "ratings": {"Reviewer1": 5, "Reviewer2": 4}})


if __name__ == "__main__":
    main(answer)
