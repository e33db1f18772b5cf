#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""productpage: the page people see. GET /productpage (HTML) or /api/v1/products/0 (JSON)

Calls details and reviews. The user is the header `end-user` or the cookie `end-user=…`.
"""
import html
from http.cookies import SimpleCookie

from common import NAME, VERSION, Response, call, json_response, main


def collect(request):
    headers = request.passed_on()
    cookie = SimpleCookie(request.headers.get("cookie", ""))
    if "end-user" in cookie and "end-user" not in headers:
        headers["end-user"] = cookie["end-user"].value
    details_status, details = call("details", "/details/0", headers)
    reviews_status, reviews = call("reviews", "/reviews/0", headers)
    return {"service": "productpage", "version": VERSION, "pod": NAME, "end-user": headers.get("end-user"),
            "details": {"status": details_status, "answer": details}, "reviews": {"status": reviews_status, "answer": reviews}}


def page(product):
    def section(title, part, body):
        if part["status"] != 200:
            return f"<h2>{title}</h2><p>Sorry, {title.lower()} are not available now ({part['status'] or 'no connection'}).</p>"
        return f"<h2>{title}</h2>{body(part['answer'])}"

    def details(answer):
        return "<ul>" + "".join(f"<li>{html.escape(key)}: {html.escape(str(answer[key]))}</li>" for key in ("author", "year", "pages")) + "</ul>"

    def reviews(answer):
        rows = []
        for review in answer["reviews"]:
            rating = review.get("rating", {})
            stars = f' <b style="color:{rating["colour"]}">{"★" * rating["stars"]}</b>' if "stars" in rating else html.escape(rating.get("error", ""))
            rows.append(f"<blockquote>{html.escape(review['text'])} — {html.escape(review['reviewer'])}{stars}</blockquote>")
        return "".join(rows) + f"<p>served by reviews {html.escape(answer['version'])}</p>"

    return ("<!doctype html><html><head><meta charset=utf-8><title>Bookstore</title></head><body><h1>The Comedy of Errors</h1>"
            f"<p>user: {html.escape(product['end-user'] or 'nobody')}</p>"
            + section("Details", product["details"], details) + section("Reviews", product["reviews"], reviews) + "</body></html>\n")


def answer(request):
    if request.path == "/api/v1/products/0":
        return json_response(collect(request))
    if request.path in ("/", "/productpage"):
        return Response(page(collect(request)).encode(), content_type="text/html; charset=utf-8")
    return json_response({"error": f"no such path: {request.path}"}, 404)


if __name__ == "__main__":
    main(answer)
