#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""reviews: what two readers think. GET /reviews/0

v1 shows no stars; v2 asks ratings and shows black stars; v3 red ones. VERSION says which one this is.
"""
from common import NAME, VERSION, call, json_response, main

STARS = {"v2": "black", "v3": "red"}.get(VERSION)
TEXTS = {"Reviewer1": "An extremely entertaining play. The slapstick humour is refreshing!",
         "Reviewer2": "Absolutely fun and entertaining. It lacks thematic depth next to other plays, though."}


def answer(request):
    if not request.path.startswith("/reviews/"):
        return json_response({"error": f"no such path: {request.path}"}, 404)
    book = request.path.rsplit("/", 1)[1]
    reviews = [{"reviewer": who, "text": text} for who, text in TEXTS.items()]
    result = {"service": "reviews", "version": VERSION, "pod": NAME, "id": book, "end-user": request.headers.get("end-user"), "reviews": reviews}
    if STARS:
        headers = request.passed_on()
        for what in ("delay", "fail"):
            if f"sample-{what}-ratings" in headers:
                headers[f"sample-{what}"] = headers.pop(f"sample-{what}-ratings")
        status, ratings = call("ratings", f"/ratings/{book}", headers)
        result["ratings-status"] = status
        for review in reviews:
            if status == 200 and ratings:
                review["rating"] = {"stars": ratings["ratings"].get(review["reviewer"]), "colour": STARS}
            else:
                review["rating"] = {"error": "Ratings service is currently unavailable"}
    return json_response(result)


if __name__ == "__main__":
    main(answer)
