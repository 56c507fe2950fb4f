"""A server before the simulated AWS that changes budgets and adds subscribers, as AWS documents it."""

import http.client
import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from local_http import LocalServer


class Budgets(LocalServer):
    """Forwards requests to the simulated AWS, and does what that cannot.

    Attributes
    ----------
    asked : list of str
        Names of the requests.
    refuse : set of str
        Names of those that are answered with AccessDenied.
    subscribers : dict
        Addresses by kind and threshold of an alert.
    """

    def __init__(self, environment):
        self._upstream = urlsplit(environment["AWS_ENDPOINT_URL"]).netloc
        self.asked, self.refuse, self.subscribers = [], set(), {}
        budgets = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, answer = budgets._answer(self, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._serve(Handler, environment)

    def _answer(self, handler, body):
        name = handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.asked.append(name)
        if name in self.refuse:
            return 400, json.dumps({"__type": "AccessDeniedException", "Message": "as asked"}).encode()
        form = json.loads(body) if name else {}
        if name == "CreateSubscriber":
            there = self.subscribers[self._key(form["Notification"])]
            if form["Subscriber"]["Address"] in there:
                return 400, b'{"__type": "DuplicateRecordException", "Message": "it is there"}'
            there.append(form["Subscriber"]["Address"])
            return 200, b"{}"
        if name == "UpdateBudget":
            where = {"AccountId": form["AccountId"], "BudgetName": form["NewBudget"]["BudgetName"]}
            status, found = self._forward(handler, "DescribeNotificationsForBudget", where)
            assert status == 200
            alerts = [{"Notification": one, "Subscribers": []} for one in json.loads(found)["Notifications"]]
            assert self._forward(handler, "DeleteBudget", where)[0] == 200
            new = {"AccountId": form["AccountId"], "Budget": form["NewBudget"], "NotificationsWithSubscribers": alerts}
            return self._forward(handler, "CreateBudget", new)
        for alert in form.get("NotificationsWithSubscribers", []) + ([form] if name == "CreateNotification" else []):
            self.subscribers[self._key(alert["Notification"])] = [one["Address"] for one in alert["Subscribers"]]
        return self._forward(handler, name, body)

    @staticmethod
    def _key(alert):
        return alert["NotificationType"], alert["Threshold"]

    def _forward(self, handler, name, form):
        body = form if isinstance(form, bytes) else json.dumps(form).encode()
        headers = {key: value for key, value in handler.headers.items() if key != "Content-Length"}
        if name:
            headers["X-Amz-Target"] = handler.headers["X-Amz-Target"].rpartition(".")[0] + f".{name}"
        upstream = http.client.HTTPConnection(self._upstream, timeout=60)
        upstream.request("POST", handler.path, body, headers)
        response = upstream.getresponse()
        answer = response.read()
        upstream.close()
        return response.status, answer
