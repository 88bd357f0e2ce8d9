"""Looks at a node's page in a browser, driven by the W3C's WebDriver protocol, while the cluster works and a node is killed."""

import base64
import json
import os
import sys
import threading
import time
import urllib.request

import pymysql

from cluster import NODES, PORT, define, kill, node, run, start_again

DRIVER, SCRATCH, BOX, *SANDBOX = sys.argv[2:]


class Browser:
    def __init__(self, width, height, is_telephone=False):
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={width},{height}", f"--user-data-dir={SCRATCH}/profile{width}"]}
        if is_telephone:
            options["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1}}
        capabilities = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}}
        self.session = ""
        self.session = self.call("session", capabilities)["sessionId"]

    def call(self, path, body=None):
        prefix = f"/session/{self.session}" if self.session else ""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{DRIVER}{prefix}/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, address):
        self.call("url", {"url": address})

    def script(self, text):
        return self.call("execute/sync", {"script": text, "args": []})

    def text(self):
        return self.script("return document.body.innerText")

    def cards(self):
        """What the page says of each member, by its address."""
        return dict(self.script("return [...document.querySelectorAll('article')].map(card => [card.querySelector('h3').firstChild.data, card.innerText])"))

    def screenshot(self, name):
        with open(os.path.join(SCRATCH, name), "wb") as file:
            file.write(base64.b64decode(self.call("screenshot")))

    def wait_for(self, what, condition, seconds=15):
        deadline = time.time() + seconds
        while not condition():
            if time.time() > deadline:
                sys.exit(f"FAILED: the page does not show {what}:\n{self.text()}")
            time.sleep(0.2)
        print(f"the page shows {what}", flush=True)

    def quit(self):
        request = urllib.request.Request(f"{DRIVER}/session/{self.session}", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()


def client(number, ended):
    """Adds to counters, some of which others add to as well, until it is to end."""
    connection = None
    turn = 0
    while not ended.is_set():
        try:
            connection = connection or node(number, autocommit=True, read_timeout=10)
            turn += 1
            key = 17 if turn % 2 else 100 + number
            run(connection, f"UPDATE shop.stock SET n = n + 1 WHERE id = {key}")
        except pymysql.MySQLError:
            # Deadlocks, and the loss of a node, are what is to be seen.
            connection = connection if connection and connection.open else None
            time.sleep(0.05)


def figure(card, term):
    lines = card.splitlines()
    return float(lines[lines.index(term) + 1].replace("–", "nan"))


def watch(browser, ended):
    address = {number: f"127.0.0.1:{PORT + 200 + number}" for number in NODES}
    browser.open(f"http://127.0.0.1:{PORT + 101}/")
    browser.wait_for("that all is well", lambda: "all is well" in browser.text())
    browser.wait_for("a leader, followers and this node", lambda: sum("leader" in card for card in browser.cards().values()) == 1
                     and "this node" in browser.cards()[address[1]])
    browser.wait_for("commits on all nodes", lambda: all(figure(card, "commits a second") > 0 for card in browser.cards().values()))
    browser.wait_for("the hottest conflict", lambda: "shop.stock (id) = (17)" in browser.text())
    browser.wait_for("a curve of a minute", lambda: browser.script("return document.querySelector('polyline').points.length") > 10, 30)
    browser.screenshot("page.png")

    kill(f"{BOX}/node3/trireme.pid")
    browser.wait_for("that a node was killed", lambda: "not heard of" in browser.cards()[address[3]] and "1 of 3 nodes do not serve" in browser.text())
    browser.wait_for("that the others go on", lambda: all(figure(browser.cards()[address[number]], "commits a second") > 0 for number in (1, 2)))
    browser.wait_for("a warning of the node that led or follows", lambda: "none since" not in browser.text())
    browser.screenshot("page-killed.png")
    start_again(SANDBOX)
    browser.wait_for("that it is back", lambda: "serves clients" in browser.cards()[address[3]] and "all is well" in browser.text(), 30)
    browser.wait_for("its commits", lambda: figure(browser.cards()[address[3]], "commits a second") > 0)

    kill(f"{BOX}/node1/trireme.pid")
    browser.wait_for("that its own node is gone", lambda: "does not answer" in browser.text())
    start_again(SANDBOX)
    browser.wait_for("that its own node is back", lambda: "all is well" in browser.text(), 30)
    errors = [entry["message"] for entry in browser.call("se/log", {"type": "browser"}) if "ERR_CONNECTION" not in entry["message"]]
    if errors:
        sys.exit(f"FAILED: the browser complains: {errors}")
    ended.set()


def narrow():
    """On a telephone nothing is wider than the screen."""
    browser = Browser(390, 844, is_telephone=True)
    try:
        browser.open(f"http://127.0.0.1:{PORT + 101}/")
        browser.wait_for("the same on a narrow screen", lambda: len(browser.cards()) == 3 and "–" not in browser.text())
        width = browser.script("return [document.documentElement.scrollWidth, window.innerWidth]")
        if width[0] > width[1] or width[1] > 400:
            sys.exit(f"FAILED: the page is wider than the screen: {width}")
        browser.screenshot("page-narrow.png")
    finally:
        browser.quit()


def main():
    define(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.stock (id INT PRIMARY KEY, n INT NOT NULL)",
        "INSERT INTO shop.stock SELECT seq, 0 FROM (SELECT 17 AS seq UNION SELECT 101 UNION SELECT 102 UNION SELECT 103) ids",
    )
    ended = threading.Event()
    for number in NODES:
        threading.Thread(target=client, args=(number, ended), daemon=True).start()
    browser = Browser(1200, 800)
    try:
        watch(browser, ended)
    finally:
        browser.quit()
    narrow()


main()
