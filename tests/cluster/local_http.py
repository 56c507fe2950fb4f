"""An HTTP server of this process, for what stands between a client and an endpoint, or in its place."""

import threading
from http.server import ThreadingHTTPServer


class LocalServer:
    """Serves while the with statement lasts.

    Attributes
    ----------
    environment : dict of str to str
        With the server's address in place of the endpoint's.
    """

    def _serve(self, handler, environment, variable="AWS_ENDPOINT_URL"):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.environment = environment | {variable: f"http://127.0.0.1:{self._server.server_port}"}

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
