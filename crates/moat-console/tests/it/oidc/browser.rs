//! What a browser does of its own accord: it keeps cookies, sends them to their path, and follows redirections, here one
//! at a time.

use std::collections::BTreeMap;

use reqwest::{Client, StatusCode, Url, redirect};

use crate::server::{As, Server};

const SIGN_IN: &str = "/api/v1/session/oidc";

pub struct Browser<'a> {
    server: &'a Server,
    client: Client,
    /// `Set-Cookie` as the newest of each name came.
    pub cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    pub fn new(server: &Server) -> Browser<'_> {
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Browser { server, client, cookies: BTreeMap::new() }
    }

    /// The whole way; the page where it ends.
    pub async fn sign_in(&mut self, back: &str) -> String {
        let entrance = self.begin(back).await;
        if !entrance.starts_with("http") {
            return entrance;
        }
        let callback = self.at_provider(&entrance).await;
        self.end(&callback).await
    }

    /// Where the button leads.
    pub async fn begin(&mut self, back: &str) -> String {
        let mut url = Url::parse(&format!("{}{SIGN_IN}", self.server.url)).unwrap();
        url.query_pairs_mut().append_pair("return", back);
        self.visit(url).await
    }

    /// Where the provider sends the browser back to.
    pub async fn at_provider(&self, entrance: &str) -> String {
        let answer = self.client.get(entrance).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text().await.unwrap());
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    /// Where coming back leads.
    pub async fn end(&mut self, callback: &str) -> String {
        self.visit(Url::parse(callback).unwrap()).await
    }

    async fn visit(&mut self, url: Url) -> String {
        let mut request = self.client.get(url.clone());
        for cookie in self.cookies.values() {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let path = attributes.split("; ").find_map(|part| part.strip_prefix("Path=")).unwrap();
            if url.path().starts_with(path) {
                request = request.header("cookie", pair);
            }
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let name = cookie.split('=').next().unwrap();
            self.cookies.insert(name.to_owned(), cookie.to_owned());
        }
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    pub fn set_cookie(&self, name: &str) -> &str {
        &self.cookies[name]
    }

    pub fn is_signed_in(&self) -> bool {
        self.cookies.contains_key("moat_session")
    }

    /// The session that the browser has now, with the token for changes that the dashboard asks for.
    pub async fn session(&self) -> As {
        let cookie = super::cookie_value(self.set_cookie("moat_session"));
        let session = As::Session { cookie: cookie.clone(), csrf: String::new() };
        let csrf = self.server.get(&session, "/session").await["csrf"].as_str().unwrap().to_owned();
        As::Session { cookie, csrf }
    }
}
