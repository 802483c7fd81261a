package import MartletHTTP
package import MartletPrimitives

/// What a client is to send, and how long it may take.
package struct HTTPClientRequest: Sendable {
  package enum Body: Sendable {
    case none
    case bytes(Slice)
    /// Written through the exchange; without a length it goes out in chunks.
    case stream(length: Int?)
  }

  package enum Priority: Int, Sendable, Comparable {
    case background, normal, urgent
    package static func < (a: Priority, b: Priority) -> Bool { a.rawValue < b.rawValue }
  }

  package struct Timeouts: Sendable {
    /// Name, TCP, proxy and TLS together. Waiting for a free connection does not count.
    package var connect = TimeSpan.seconds(10)
    /// From the end of the request to the head of the response; also between two parts of content in either direction.
    package var firstByte = TimeSpan.seconds(30)
    /// From the call to the end of the response, redirects included; `nil` for streams without end.
    package var total: TimeSpan? = .seconds(60)

    package init() {}
  }

  package var method: HTTPMethod
  package var url: URLReference
  package var fields: HTTPFields
  package var body: Body
  package var priority = Priority.normal
  package var timeouts = Timeouts()
  /// How many redirects are followed; with 0 they are answers like any other.
  package var redirects = 5

  package init(_ method: HTTPMethod = .get, _ url: URLReference, _ fields: HTTPFields = [:], body: Body = .none) {
    self.method = method
    self.url = url
    self.fields = fields
    self.body = body
  }

  /// Sending it twice is sending it once, and all of it is at hand (RFC 9110 §9.2.2).
  internal var isRepeatable: Bool { method.isIdempotent && canSendAgain }

  internal var canSendAgain: Bool { if case .stream = body { false } else { true } }

  internal var bodyLength: HTTPBodyLength {
    switch body {
    case .none, .stream(0): .none
    case .bytes(let bytes): bytes.isEmpty ? .none : .length(bytes.count)
    case .stream(let length): length.map { .length($0) } ?? .chunked
    }
  }
}

/// What a request brings, in this order: one head, any number of parts of content, and one end; or a failure at any point.
package enum HTTPClientEvent: Sendable {
  /// - Parameter url: where it came from, which differs from what was asked for after redirects.
  case head(HTTPResponse, url: URLReference)
  case body(Slice)
  case end(trailers: HTTPFields)
  case failure(HTTPClientError)
}

/// Why there is no response, or not all of it. Equal when the codes are: the reason is for people.
package struct HTTPClientError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Code: String, Sendable {
    /// The request cannot be sent as it is.
    case invalid
    case unresolved, unreachable, timeout
    /// The address filter refused the target.
    case forbiddenAddress
    /// The proxy refused the tunnel.
    case proxy
    case tooManyRedirects, insecureRedirect
    /// The server does not speak HTTP/1.1, or ended in the middle.
    case badResponse, closed
    /// Too many requests wait.
    case overloaded
    case cancelled
    /// The content is larger than the caller wanted.
    case tooLarge
  }

  package let code: Code
  package let reason: String
  /// What a server answered that refused a WebSocket.
  package let status: Int?

  package init(_ code: Code, _ reason: String, status: Int? = nil) {
    self.code = code
    self.reason = reason
    self.status = status
  }

  package static func == (a: HTTPClientError, b: HTTPClientError) -> Bool { a.code == b.code }
  package var description: String { reason }
}
