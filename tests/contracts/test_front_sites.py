"""Configurations as public sites have them: what the doctor's trace foretells of each is what a real nginx answers."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from perijove.backends.nginx.reading import read
from perijove.doctor.front.requests import CHALLENGED, Request, Unknown
from perijove.doctor.front.servers import Front, front_of
from perijove.doctor.front.trace import trace
from perijove.doctor.front.variables import USER_AGENT
from tests.fakes.nginx import foretold, missing, running_nginx, self_signed
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.same_for_any_user, pytest.mark.skipif(bool(missing()), reason=missing() or "nginx is there")]
ACME = "/.well-known/acme-challenge/"
SECURE = "listen @s ssl; server_name a.test www.a.test;"
PLAIN = "listen @; server_name a.test www.a.test;"
APP = "location / { proxy_set_header Host $host; proxy_pass http://@up; }"
LOGIN = "location = /auth { internal; proxy_pass http://@up/denied; }"
DOTS = "location ~ /\\. { deny all; }"
PASSED = f"location ^~ {ACME} {{ proxy_set_header Host $host; proxy_pass http://@up; }}"
WORDPRESS = (
    "root /nowhere; index index.php; location / { try_files $uri $uri/ /index.php?$args; }"
    " location = /index.php { return 200 php; } location ~* \\.(css|js|png)$ { expires max; }"
)
LEARNED = f"server {{ {PLAIN} return 301 https://$host$request_uri; }}"
MANAGED = """server {
    if ($host = www.a.test) {
        return 301 https://$host$request_uri;
    } # managed by Certbot
    if ($host = a.test) {
        return 301 https://$host$request_uri;
    } # managed by Certbot
    listen @; server_name a.test www.a.test;
    return 404; # managed by Certbot
}"""
SITES: dict[str, str] = {
    "static files": f"server {{ {PLAIN} root /nowhere; location / {{ try_files $uri $uri/ =404; }} }}",
    "a single page application": f"server {{ {PLAIN} root /nowhere; location / {{ try_files $uri /i.html; }}"
    " location = /i.html { return 200 app; } }",
    "a single page application without dots": f"server {{ {PLAIN} root /nowhere; {DOTS}"
    " location / { try_files $uri @app; } location @app { return 200 app; } }",
    "wordpress": f"server {{ {PLAIN} {WORDPRESS} }}",
    "wordpress without dots": f"server {{ {PLAIN} {WORDPRESS} {DOTS} }}",
    "wordpress, all dots but well-known": f"server {{ {PLAIN} {WORDPRESS}"
    " location ~ /\\.(?!well-known) { deny all; } }",
    "redirect to https, html5 boilerplate": LEARNED + f" server {{ {SECURE} root /nowhere; {DOTS} }}",
    "redirect to https and an application": LEARNED + f" server {{ {SECURE} {APP} }}",
    "redirect to https, its host written": f"server {{ {PLAIN} return 301 https://a.test$request_uri; }}",
    "redirect by the first name": f"server {{ {PLAIN} return 301 https://$server_name$request_uri; }}",
    "redirect, the challenge passed on": f"server {{ {PLAIN} {PASSED} location / {{ return 301 https://a; }} }}",
    "redirect, the challenge from files": f"server {{ {PLAIN} location {ACME} {{ root /nowhere; }}"
    " location / { return 301 https://$host$request_uri; } }",
    "redirect by the scheme": f"server {{ {PLAIN} {SECURE} if ($scheme = http) {{ return 301 https://a; }} {APP} }}",
    "redirect by if and https": f"server {{ {PLAIN} {SECURE} if ($https = '') {{ return 302 https://a/; }} {APP} }}",
    "redirect by the protocol of TLS": f"server {{ {PLAIN} if ($ssl_protocol = '') {{"
    ' rewrite ^ https://$host$request_uri? permanent; } auth_basic x; auth_basic_user_file /nowhere; }',
    "redirect by a rewrite and a question mark": f"server {{ {PLAIN} rewrite ^(.*) https://$host$1? permanent; }}",
    "redirect by a rewrite and a query": f"server {{ {PLAIN} rewrite ^/(.*)$ https://$host/?p=$1 permanent; }}",
    "redirect by the balancer's word": f"server {{ {PLAIN} if ($http_x_forwarded_proto != https) {{"
    f" return 301 https://$host$request_uri; }} {APP} }}",
    "redirect but for well-known": f"server {{ {PLAIN} if ($request_uri !~ ^/\\.well-known/) {{"
    f" return 301 https://$host$request_uri; }} {APP} }}",
    "redirect by a variable": f"server {{ {PLAIN} set $away https; if ($uri ~ ^{ACME}) {{ set $away ''; }}"
    f" if ($away = https) {{ return 301 https://$host$request_uri; }} {APP} }}",
    "redirect by a map of paths": f"map $uri $to% {{ default ''; /old /new; ~^/\\.well-known/ ''; }}"
    f" server {{ {PLAIN} if ($to%) {{ return 301 $to%; }} {APP} }}",
    "redirect by a map of hosts": "map $host $to% { hostnames; default https://$host; *.a.test https://a.test; }"
    f" server {{ {PLAIN} return 301 $to%$request_uri; }}",
    "www to apex": "server { listen @; server_name www.a.test; return 301 http://a.test$request_uri; }"
    f" server {{ listen @; server_name a.test; {APP} }}",
    "apex to www by https": "server { listen @; server_name a.test; return 301 https://www.$host$request_uri; }"
    f" server {{ listen @; server_name www.a.test; {APP} }}",
    "www by a regular expression": "server { listen @; server_name ~^www\\.(?<rest>.+)$; return 301 http://$rest/; }"
    f" server {{ listen @ default_server; {APP} }}",
    "certbot's blocks": MANAGED + f" server {{ {SECURE} {APP} }}",
    "certbot's own location": f"server {{ {PLAIN} rewrite ^({ACME}.*) $1 break; location = {CHALLENGED} {{"
    " default_type text/plain; return 200 key; } return 301 https://$host$request_uri; }",
    "acme.sh, stateless": f"server {{ {PLAIN} location ~ ^/\\.well-known/acme-challenge/([-_a-zA-Z0-9]+)$ {{"
    " default_type text/plain; return 200 key; } }",
    "a port of lego's": f"server {{ {PLAIN} location {ACME} {{ proxy_pass http://@up; proxy_set_header Host $host; }}"
    " location / { return 404; } }",
    "443 answers nobody": LEARNED + " server { listen @s ssl default_server; return 444; }",
    "nobody's name is closed": "server { listen @ default_server; server_name _; return 444; }"
    " server { listen @; server_name other.test; return 200 other; }",
    "nobody's name is refused": "server { listen @ default_server; return 403; }"
    " server { listen @; server_name other.test; return 200 other; }",
    "nobody's name is led away": "server { listen @ default_server; return 302 https://other.test/; }",
    "ssl by another server of the port": f"server {{ listen @s ssl default_server; return 403; }}"
    f" server {{ listen @s; server_name a.test; {APP} }}",
    "login by auth_request, refused": f"server {{ {PLAIN} auth_request /auth; {LOGIN} {APP} }}",
    "login by auth_request, led away": f"server {{ {PLAIN} {LOGIN} error_page 401 = @login;"
    " location @login { return 302 https://login.test/start?rd=$scheme://$host$request_uri; }"
    " location / { auth_request /auth; proxy_pass http://@up; } }",
    "login by auth_request, by an address": f"server {{ {PLAIN} {LOGIN} auth_request /auth;"
    f" error_page 401 https://login.test/; {APP} }}",
    "login by auth_request, authelia": f"server {{ {PLAIN} {LOGIN} location / {{ auth_request /auth;"
    " error_page 401 =302 https://auth.test/?rd=$request_uri; proxy_pass http://@up; } }",
    "login by auth_request, oauth2-proxy": f"server {{ {PLAIN} location = /oauth2/auth {{ internal;"
    " proxy_pass http://@up/denied; } location /oauth2/ { return 302 https://idp.test/; }"
    " location / { auth_request /oauth2/auth; error_page 401 = /oauth2/sign_in; proxy_pass http://@up; } }",
    "login by auth_request, the challenge open": f"server {{ {PLAIN} auth_request /auth; {LOGIN} {APP}"
    f" location ^~ {ACME} {{ auth_request off; proxy_set_header Host $host; proxy_pass http://@up; }} }}",
    "login that always lets in": f"server {{ {PLAIN} location = /auth {{ return 204; }}"
    " location / { auth_request /auth; proxy_pass http://@up; } }",
    "login that says another error": f"server {{ {PLAIN} location = /auth {{ return 404; }}"
    " location / { auth_request /auth; proxy_pass http://@up; } }",
    "login or address": f"server {{ {PLAIN} satisfy any; allow all; auth_request /auth; {LOGIN} {APP} }}",
    "login or nobody's address": f"server {{ {PLAIN} satisfy any; deny all; auth_request /auth; {LOGIN} {APP} }}",
    "password": f"server {{ {PLAIN} auth_basic staging; auth_basic_user_file /nowhere; {APP} }}",
    "password, the challenge open": f"server {{ {PLAIN} auth_basic staging; auth_basic_user_file /nowhere; {APP}"
    f" location {ACME} {{ auth_basic off; proxy_set_header Host $host; proxy_pass http://@up; }} }}",
    "password after a redirect": f"server {{ {PLAIN} auth_basic x; return 301 https://$host$request_uri; }}",
    "an error page of files": f"server {{ {PLAIN} error_page 404 /404.html; root /nowhere; }}",
    "an error page by another status": f"server {{ {PLAIN} error_page 404 =200 /i; root /nowhere;"
    " location = /i { return 200 i; } }",
    "an error page that is internal": f"server {{ {PLAIN} error_page 403 = /p/x; location / {{ deny all; }}"
    " location /p/ { internal; return 200 page; } }",
    "an error page, one alone": f"server {{ {PLAIN}"
    f" error_page 403 = /p; error_page 404 = /q; location / {{ deny all; }}"
    " location = /p { return 404; } location = /q { return 200 q; } }",
    "internal, asked for": f"server {{ {PLAIN} location /.well-known/ {{ internal; return 200 never; }} }}",
    "internal, by a rewrite": f"server {{ {PLAIN} rewrite ^/.well-known/(.*) /in/$1;"
    " location /in/ { internal; return 200 in; } }",
    "jupyterhub": "map $http_upgrade $up% { default upgrade; '' close; }"
    f" server {{ {PLAIN} location / {{ proxy_pass http://@up; proxy_http_version 1.1; proxy_set_header Host $http_host;"
    " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $up%; } }",
    "an application below a folder": f"server {{ {PLAIN} location /.well-known {{ proxy_pass http://@up/app/x; }} }}",
    "an application without its folder": f"server {{ {PLAIN} location /.well-known/ {{"
    " rewrite ^/.well-known/(.*)$ /$1 break; proxy_pass http://@up; } }",
    "an upstream by name": f"upstream app% {{ server @up backup; server @up; keepalive 8; }} server {{ {PLAIN}"
    " location / { proxy_pass http://app%; } }",
    "maintenance": f"server {{ {PLAIN} if (-f /nowhere/maintenance.html) {{ return 503; }} {APP} }}",
    "bots are refused": f"server {{ {PLAIN} if ($http_user_agent ~* (curl|wget)) {{ return 403; }} {APP} }}",
    "other methods are refused": f"server {{ {PLAIN}"
    f" if ($request_method !~ ^(GET|HEAD|POST)$) {{ return 405; }} {APP} }}",
    "only some methods": f"server {{ {PLAIN} location / {{ limit_except GET {{ deny all; }}"
    " proxy_set_header Host $host; proxy_pass http://@up; } }",
    "all methods but POST are refused": f"server {{ {PLAIN} location / {{ limit_except POST {{ deny all; }}"
    " proxy_set_header Host $host; proxy_pass http://@up; } }",
    "a login for all but POST": f"server {{ {PLAIN} location / {{ limit_except POST {{ auth_basic x;"
    " auth_basic_user_file /dev/null; } proxy_set_header Host $host; proxy_pass http://@up; } }",
    "networks that are let in": "geo $far% { default 1; 10.0.0.0/8 0; }"
    f" server {{ {PLAIN} if ($far%) {{ return 403; }} {APP} }}",
    "one address that is let in": f"server {{ {PLAIN} if ($remote_addr != 192.0.2.7) {{ return 503; }} {APP} }}",
    "an upstream that is marked as down": f"upstream down% {{ server @up down; }} server {{ {PLAIN}"
    " location / { proxy_pass http://down%; } }",
    "a certificate of clients": f"server {{ {SECURE} if ($ssl_client_verify != SUCCESS) {{ return 403; }} {APP} }}",
    "a PROXY line first": "server { listen @ proxy_protocol; server_name a.test;"
    f" set_real_ip_from 127.0.0.0/8;"
    f" real_ip_header proxy_protocol; {APP} }}",
    "a PROXY line first, by another server of the port": f"server {{ listen @ proxy_protocol; return 404; }}"
    f" server {{ listen @; server_name a.test; {APP} }}",
    "a PROXY line first, redirected": "server { listen @ proxy_protocol; return 301 https://$host$request_uri; }",
    "nested locations": f"server {{ {PLAIN} location / {{ location ~ \\.php$ {{ return 403; }} {APP} }} }}".replace(
        "location / { proxy_set", "location /.well-known/ { proxy_set"
    ),
    "an old redirect of http": f"server {{ {PLAIN} rewrite ^ http://$http_host/in$request_uri? redirect; }}",
    "a map by regular expressions, of which case counts": "map Up$uri $kind% { ~^up no; ~^Up/USER/ no;"
    " ~*^up/USER/ user; ~^Up/\\.well-known/(?<rest>.*)$ in/$rest; default other; }"
    f" server {{ {PLAIN} {SECURE} return 301 https://b.test/$kind%; }}",
    "a map by numbered captures": "map $host $name% { ~^(\\w+)\\.a\\.test$ $1; default none; }"
    f" server {{ {PLAIN} return 301 https://b.test/$name%; }}",
    "a map of two variables": "map $scheme:$host $to% { default ''; http:www.a.test https://a.test; }"
    f" server {{ {PLAIN} if ($to%) {{ return 301 $to%$request_uri; }} {APP} }}",
    "a map of a map": "map $host $side% { www.a.test www; default apex; } map $side% $to% { www /w; default /a; }"
    f" server {{ {PLAIN} return 301 https://b.test$to%; }}",
    "an alias": f"server {{ {PLAIN} {APP} location {ACME} {{ alias /nowhere/answers/; }} }}",
    "an alias by a capture": f"server {{ {PLAIN} {APP} location ~ ^/\\.well-known/(.*)$ {{ alias /nowhere/$1; }} }}",
    "a root within a location": f"server {{ {PLAIN} location / {{ location ^~ {ACME} {{ root /nowhere; }}"
    " proxy_pass http://@up; } }",
    "a capture that is passed on": f"server {{ {PLAIN} {APP}"
    " location ~ ^/\\.well-known/(?<rest>.*)$ { proxy_pass http://@up/$rest; } }",
    "a capture in a redirect": f"server {{ {PLAIN} location ~ ^/\\.well-known/([a-z-]+)/ {{ return 302 /$1; }} }}",
    "a class of letters": f"server {{ {PLAIN} {APP}"
    " location ~ ^/\\.well-known/acme-challenge/[[:alnum:]_-]+\\z { return 200 key; } }",
    "a pattern in quotes": f"server {{ {PLAIN} {APP} location ~ \"^/\\.well-known/.{{5,}}$\" {{ return 200 key; }} }}",
    "a modifier that touches its pattern": f"server {{ {PLAIN} location ^~/.well-known/ {{ return 200 prefix; }}"
    " location ~. { return 200 regex; } }",
    "a return in an if of a location": f"server {{ {PLAIN} location / {{ if ($host = www.a.test) {{ return 403; }}"
    " proxy_set_header Host $host; proxy_pass http://@up; } }",
    "an if with a proxy_pass, then a return": f"server {{ {PLAIN} location / {{ if ($host = a.test) {{"
    " proxy_pass http://@up; } return 404; } }",
    "an if that hides try_files": f"server {{ {PLAIN} root /nowhere; location @app {{ return 200 app; }}"
    " location / { set $x 1; if ($x) { add_header X y; } try_files $uri @app; } }",
    "ifs that add up": f"server {{ {PLAIN} set $why ''; if ($host = a.test) {{ set $why ${{why}}H; }}"
    f" if ($uri ~ acme) {{ set $why \"${{why}}A\"; }} if ($why = HA) {{ return 200 both; }} {APP} }}",
    "an if of a file that is not there": f"server {{ {PLAIN} root /nowhere; location = /i {{ return 200 i; }}"
    " if (!-f $request_filename) { rewrite ^ /i last; } }",
    "an if of the method": f"server {{ {PLAIN} if ($request_method = POST) {{ return 405; }} {APP} }}",
    "nobody without a browser": f"server {{ {PLAIN} if ($http_user_agent = '') {{ return 403; }} {APP} }}",
    "browsers alone": f"server {{ {PLAIN} if ($http_user_agent !~ Mozilla) {{ return 403; }} {APP} }}",
    "rewrites in a circle": f"server {{ {PLAIN} location / {{ rewrite ^(.*)$ /x$1 last; }} }}",
    "rewrite last, out of a nested location": f"server {{ {PLAIN} location / {{ location /.well-known/ {{"
    " rewrite ^/.well-known/(.*) /in/$1 last; } } location /in/ { return 200 in; } }",
    "a rewrite of the server, and break": f"server {{ {PLAIN} rewrite ^/.well-known/(.*)$ /in/$1 break;"
    " location /in/ { proxy_pass http://@up/out/; } }",
    "break before a return": f"server {{ {PLAIN} location / {{ break; return 404; proxy_pass http://@up; }} }}",
    "a return of words": f"server {{ {PLAIN} location / {{ return 404 gone; }} }}",
    "a return of an address alone": f"server {{ {PLAIN} return https://b.test$request_uri; }}",
    "a redirect to a path": f"server {{ {PLAIN} location / {{ return 301 /in$uri; }} }}",
    "a redirect that keeps the method": f"server {{ {PLAIN} return 308 https://$host$request_uri; }}",
    "try_files to a named location that rewrites": f"server {{ {PLAIN} root /nowhere; location / {{"
    " try_files $uri @app; } location @app { rewrite ^/.well-known/(.*)$ /x/$1 break; proxy_pass http://@up; } }",
    "try_files to what is internal": f"server {{ {PLAIN} location / {{ root /nowhere; try_files $uri /in/x; }}"
    " location /in/ { internal; return 200 in; } }",
    "a 404 of files to an application": f"server {{ {PLAIN} root /nowhere; error_page 404 = @app; location / {{"
    " try_files $uri =404; } location @app { proxy_set_header Host $host; proxy_pass http://@up; } }",
    "a 404 of files to an application, its status kept": f"server {{ {PLAIN} root /nowhere; error_page 404 @app;"
    " location @app { proxy_pass http://@up; } }",
    "an error page that redirects, its status not given": f"server {{ {PLAIN} error_page 403 /login; location / {{"
    " deny all; } location = /login { return 302 https://login.test/; } }",
    "a named error page that redirects, its status not given": f"server {{ {PLAIN} "
    " error_page 401 @login; location / { auth_basic x; auth_basic_user_file /nowhere; }"
    " location @login { return 302 https://login.test/; } }",
    "an error page of words, its status not given": f"server {{ {PLAIN} error_page 403 /sorry; location / {{"
    " deny all; } location = /sorry { return 200 sorry; } }",
    "error pages one after the other": f"server {{ {PLAIN} root /nowhere; recursive_error_pages on;"
    " error_page 404 = @a; location @a { error_page 403 = @b; deny all; } location @b { return 200 b; } }",
    "an error page for several": f"server {{ {PLAIN} error_page 403 404 =200 /i; location / {{ deny all; }}"
    " location = /i { return 200 i; } }",
    "an upstream that is down, and words for it": f"upstream down% {{ server @up down; }} server {{ {PLAIN}"
    " error_page 502 = @sorry; location / { proxy_pass http://down%; } location @sorry { return 200 sorry; } }",
    "all networks are denied": f"server {{ {PLAIN} deny 0.0.0.0/0; {APP} }}",
    "one network is denied": f"server {{ {PLAIN} deny 192.0.2.0/24; allow all; {APP} }}",
    "all but the challenge is denied": f"server {{ {PLAIN} deny all; {APP} location ^~ {ACME} {{ allow all;"
    " proxy_set_header Host $host; proxy_pass http://@up; } }",
    "all networks by geo": f"geo $far% {{ default 0; 0.0.0.0/0 1; }} server {{ {PLAIN} if ($far%) {{ return 403; }}"
    f" {APP} }}",
    "an address or a password": f"server {{ {PLAIN} satisfy any; allow all; auth_basic x;"
    f" auth_basic_user_file /nowhere; {APP} }}",
    "the default of another address": "server { listen @; server_name other.test; return 200 mine; }"
    " server { listen 127.0.5.%:@p default_server; return 200 another; }",
    "a wildcard before a regular expression": "server { listen @; server_name ~^(www\\.)?a; return 200 regex; }"
    " server { listen @; server_name *.test; return 200 wild; }",
    "a wildcard at the end": "server { listen @; server_name www.*; return 200 tail; }"
    " server { listen @; server_name *.a.test; return 200 head; }",
    "an upstream by a variable, and the path": f"server {{ {PLAIN} set $up% @up;"
    " location / { proxy_pass http://$up%$request_uri; } }",
    "an upstream by a variable": f"server {{ {PLAIN} set $up% @up;"
    " location /.well-known/ { proxy_pass http://$up%; } }",
    "no handshake for nobody's name": "server { listen @s ssl default_server; ssl_reject_handshake on; }"
    " server { listen @s ssl; server_name other.test; return 200 other; }",
    "no handshake but for one's name": "server { listen @s ssl default_server; ssl_reject_handshake on; }"
    f" server {{ {SECURE} {APP} }}",
    "a password by a map that leaves the challenge out": "map $uri $realm% { default staging; ~^/.well-known/ off; }"
    f" server {{ {PLAIN} {SECURE} auth_basic $realm%; auth_basic_user_file /nowhere; {APP} }}",
    "the challenge passed on by an if of a location": f"server {{ {PLAIN} location / {{ if ($uri ~ ^{ACME}) {{"
    " proxy_pass http://@up; break; } return 301 https://$host$request_uri; } }",
    "another name than the first is led to it": f"server {{ {PLAIN} if ($host != $server_name) {{"
    f" return 301 $scheme://$server_name$request_uri; }} {APP} }}",
    "a rewrite to the very path": f"server {{ {PLAIN} location /.well-known/ {{ rewrite ^(.*)$ $1 last; }} {APP} }}",
    "a rewrite of the server to the very path": f"server {{ {PLAIN} rewrite ^(/.well-known/.*)$ $1 last; {APP} }}",
    "a rewrite to an alias": f"server {{ {PLAIN} {APP} rewrite ^{ACME}(.*)$ /acme/$1 last;"
    " location /acme/ { alias /nowhere/; } }",
    "all to one page": f"server {{ {PLAIN} rewrite ^/.* /index.php; location = /index.php {{ return 200 php; }} }}",
    "a 404 to one page": f"server {{ {PLAIN} root /nowhere; error_page 404 = /index.php?q=$uri;"
    " location = /index.php { return 200 php; } }",
    "a 404 that is led away for good": f"server {{ {PLAIN} root /nowhere; error_page 404 =301 https://b.test/; }}",
    "a 404 of a backend's own": f"server {{ {PLAIN} root /nowhere; error_page 404 =200 @app;"
    " location @app { proxy_pass http://@up; } }",
    "maintenance by a variable": f"server {{ {PLAIN} set $closed on; if ($remote_addr ~ ^10\\.) {{ set $closed off; }}"
    f" if ($closed = on) {{ return 503; }} error_page 503 /m; location = /m {{ return 200 soon; }}"
    f" {APP} }}",
    "maintenance whose page is gone": f"server {{ {PLAIN} location / {{ return 503; }} error_page 503 /m;"
    " location = /m { return 410; } }",
    "the balancer's word by a map": "map $http_x_forwarded_proto $plain% { default 1; https 0; }"
    f" server {{ {PLAIN} if ($plain%) {{ return 307 https://$host$request_uri; }} {APP} }}",
    "all of the upstream by a variable": f"server {{ {PLAIN} set $up% http://@up; location / {{ proxy_pass $up%; }} }}",
    "an upstream by a capture and its query": f"server {{ {PLAIN} location ~* ^{ACME}(.*)$ {{"
    f" proxy_pass http://@up{ACME}$1$is_args$args; }} }}",
    "an upstream with the same path": f"server {{ {PLAIN} location /.well-known/acme-challenge {{"
    " proxy_pass http://@up/.well-known/acme-challenge; } }",
    "a Host that is written": f"server {{ {PLAIN} location / {{ proxy_set_header Host b.test;"
    " proxy_pass http://@up; } }",
    "a Host that is the first name": f"server {{ {PLAIN} proxy_set_header Host $server_name; location / {{"
    " proxy_pass http://@up; } }",
    "two servers of one name": f"server {{ {PLAIN} return 200 first; }} server {{ {PLAIN} return 200 second; }}",
    "all but well-known": f"server {{ {PLAIN} location ~ ^/(?!\\.well-known) {{ return 403; }} {APP} }}",
    "an alias, else an application": f"server {{ {PLAIN} location {ACME} {{ alias /nowhere/; try_files $uri @app; }}"
    " location @app { return 200 app; } }",
    "try_files of several folders": f"server {{ {PLAIN} root /nowhere; location / {{ try_files /static$uri"
    " $uri.html $uri/ /index.html =404; } }",
    "names that are not these are cut off": f"server {{ listen @; if ($host !~* ^(www\\.)?b\\.test$) {{ return 444; }}"
    f" {APP} }}",
    "a limit of requests": f"limit_req_zone $binary_remote_addr zone=z%:1m rate=100r/s; server {{ {PLAIN}"
    f" limit_req zone=z% burst=50 nodelay; {APP} }}",
    "what a body is": f"server {{ {PLAIN} if ($content_type ~ json) {{ return 415; }} if ($content_length) {{"
    f" return 413; }} {APP} }}",
    "a status of one's own": f"server {{ {PLAIN} location / {{ error_page 418 = @acme;"
    " if ($uri ~ acme) { return 418; } return 404; } location @acme { proxy_pass http://@up; } }",
    "a named location that is closed": f"server {{ {PLAIN} root /nowhere; location / {{ try_files $uri @app; }}"
    " location @app { deny all; proxy_pass http://@up; } }",
    "named locations one after the other": f"server {{ {PLAIN} root /nowhere; location / {{ try_files $uri @a; }}"
    " location @a { try_files $uri.html @b; } location @b { return 200 b; } }",
    "rewrites one after the other": f"server {{ {PLAIN} location / {{ rewrite ^/.well-known/(.*)$ /one/$1;"
    " rewrite ^/one/(.*)$ /two/$1 last; return 403; } location /two/ { return 200 two; } }",
    "a name's number in a redirect": "server { listen @; server_name ~^(www)\\.a\\.test$; location / {"
    " return 301 https://$1.b.test; } } server { listen @; server_name a.test; return 404; }",
    "a page of a location hides that of its server": f"server {{ {PLAIN} error_page 403 = @x; location / {{"
    " error_page 404 /n; deny all; } location @x { return 200 x; } }",
    "an unknown visitor's country": f"geo $there% {{ default 1; }} server {{ {PLAIN}"
    " location / { proxy_pass http://@up; proxy_set_header Host $host; } }",
}  # fmt: skip
ASKED = (("http", "a.test", CHALLENGED), ("http", "www.a.test", CHALLENGED), ("https", "a.test", "/user/x/lab"))


def placed(text: str, case: int, port: int, secure: int, inner: int) -> str:
    """A site at an address of its own."""
    at = f"127.0.4.{case}"
    text = text.replace("listen @s", f"listen {at}:{secure}").replace("listen @", f"listen {at}:{port}")
    text = text.replace(":@p", f":{port}")
    return text.replace("%", str(case)).replace("@up", f"127.0.0.1:{inner}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, int, int]]:
    folder, port, secure, inner = tmp_path_factory.mktemp("sites"), free_port(), free_port(), free_port()
    chain, key = self_signed(folder, "a.test")
    up = f"listen 127.0.0.1:{inner}; location /denied {{ return 401; }}"
    up += " location / { return 200 'up $http_host $uri'; }"
    blocks = [f"ssl_certificate {chain}; ssl_certificate_key {key}; server {{ {up} }}"]
    blocks += [placed(text, case, port, secure, inner) for case, text in enumerate(SITES.values(), 1)]
    with running_nginx(folder, "\n".join(blocks)):
        yield front_of(read(folder / "nginx.conf")), port, secure


def real(request: Request, *, line: bool) -> str:
    """What nginx answers; `line`: with a PROXY line first."""
    connection = http.client.HTTPConnection(request.address, request.port, timeout=10)
    try:
        raw = socket.create_connection((request.address, request.port), 10)
        connection.sock = raw
        if line:
            raw.sendall(b"PROXY TCP4 192.0.2.9 192.0.2.1 5000 80\r\n")
        if request.scheme == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection.sock = context.wrap_socket(raw, server_hostname=request.host)
        named = f"{request.host}:{request.port}"
        headers = {"Host": named, "User-Agent": USER_AGENT, "Connection": "close"}
        connection.request("GET", request.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        if location := answer.getheader("Location"):
            return f"{answer.status} {location}"
        return f"{answer.status} {body}" if answer.status == 200 else str(answer.status)
    except (http.client.RemoteDisconnected, ssl.SSLError):
        return "444"
    except ConnectionRefusedError:
        return "nobody"
    finally:
        connection.close()


@pytest.mark.parametrize("site", SITES)
def test_the_trace_agrees_with_nginx(world: tuple[Front, int, int], site: str) -> None:
    front, port, secure = world
    address = f"127.0.4.{1 + list(SITES).index(site)}"
    for scheme, host, path in ASKED:
        request = Request(scheme, address, port if scheme == "http" else secure, host, path)
        hop = trace(front, request)[0]
        assert not isinstance(hop.outcome, Unknown), hop
        assert foretold(hop) == real(request, line="PROXY line" in site), hop


def test_as_many_kinds_as_public_sites_have() -> None:
    assert len(SITES) >= 140


def test_the_files_are_read_as_nginx_reads_them(tmp_path: Path) -> None:
    """What nginx takes, the doctor calls whole."""
    text = "\n".join(placed(text, case, 20080, 20443, 20090) for case, text in enumerate(SITES.values(), 1))
    (tmp_path / "nginx.conf").write_text(f"events {{}}\nhttp {{\n{text}\n}}\n")
    assert read(tmp_path / "nginx.conf").errors == ()
