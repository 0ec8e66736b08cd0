c = get_config()  # noqa: F821 - Jupyter gives it
c.ServerApp.tornado_settings = {
    "websocket_max_message_size": 100 * 1024 * 1024,
    "headers": {"Content-Security-Policy": "frame-ancestors *"},
}
c.ServerApp.root_dir = "/home/jovyan/notebooks"
