/// Requests and responses as every version of HTTP means them (RFC 9110), apart from how a version writes them.
package struct HTTPMethod: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  package let rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }
  package init(_ name: String) { rawValue = name }

  package static let get = HTTPMethod("GET")
  package static let head = HTTPMethod("HEAD")
  package static let post = HTTPMethod("POST")
  package static let put = HTTPMethod("PUT")
  package static let patch = HTTPMethod("PATCH")
  package static let delete = HTTPMethod("DELETE")
  package static let options = HTTPMethod("OPTIONS")
  package static let connect = HTTPMethod("CONNECT")
  package static let trace = HTTPMethod("TRACE")

  /// RFC 9110 §9.2.2: repeating the request has the effect of sending it once, so a client may retry it.
  package var isIdempotent: Bool { [.get, .head, .put, .delete, .options, .trace].contains(self) }
  package var description: String { rawValue }
}

package enum HTTPVersion: String, Sendable, CustomStringConvertible {
  case http10 = "HTTP/1.0", http11 = "HTTP/1.1", http2 = "HTTP/2"
  package var description: String { rawValue }
}

/// How long a message's content is.
package enum HTTPBodyLength: Equatable, Sendable {
  case none
  /// Bytes.
  case length(Int)
  /// Ends with a chunk of size zero, or with the stream in HTTP/2.
  case chunked
  /// Ends when the connection does: HTTP/1.0, and responses without a length.
  case untilClose
}

package struct HTTPRequest: Equatable, Sendable {
  package var method: HTTPMethod
  package var target: HTTPTarget
  package var version: HTTPVersion
  package var fields: HTTPFields
  /// The protocol of an extended CONNECT (RFC 8441 `:protocol`), HTTP/2 only.
  package var connectProtocol: String?

  package init(method: HTTPMethod = .get, target: HTTPTarget, version: HTTPVersion = .http11, fields: HTTPFields = [:]) {
    self.method = method
    self.target = target
    self.version = version
    self.fields = fields
  }

  /// Host and port as the client named them: of the absolute target if there is one (RFC 9112 §3.2.2), else of `Host`.
  package var authority: String? { target.authority ?? fields.first("Host") }

  /// Whether the connection may carry another request behind this one (RFC 9112 §9.3).
  package var isKeepAlive: Bool {
    switch version {
    case .http2: true
    case .http11: !fields.contains("Connection", token: "close")
    case .http10: fields.contains("Connection", token: "keep-alive") && !fields.contains("Connection", token: "close")
    }
  }

  /// RFC 9110 §10.1.1: the client waits for 100 before it sends the content. Ignored from HTTP/1.0.
  package var expectsContinue: Bool { version == .http11 && fields.contains("Expect", token: "100-continue") }

  /// Whether the client asks to go on with `name` on this connection (RFC 9110 §7.8).
  package func asksUpgrade(to name: String) -> Bool {
    version == .http11 && fields.contains("Connection", token: "upgrade") && fields.contains("Upgrade", token: name)
  }
}

package struct HTTPResponse: Equatable, Sendable {
  package var status: HTTPStatus
  package var fields: HTTPFields
  package var version: HTTPVersion

  package init(_ status: HTTPStatus, _ fields: HTTPFields = [:], version: HTTPVersion = .http11) {
    self.status = status
    self.fields = fields
    self.version = version
  }

  package var isKeepAlive: Bool {
    version == .http11
      ? !fields.contains("Connection", token: "close")
      : version == .http2 || fields.contains("Connection", token: "keep-alive")
  }
}
