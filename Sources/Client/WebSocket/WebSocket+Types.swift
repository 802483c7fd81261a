internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWeb

extension WebSocket {
  public struct Options: Sendable {
    /// Offered in this order; the server chooses one or none (RFC 6455 §1.9). Tokens, none twice.
    public var subprotocols: [String] = []
    /// More fields of the handshake, such as `Authorization`, `Cookie` and `Origin`.
    public var headers = HTTPHeaders()
    /// Offers permessage-deflate (RFC 7692), without a window that outlives a message. Texts from 256 bytes on are compressed.
    public var deflate = true
    /// For `wss`.
    public var trust = TLSTrust.system
    /// For name, TCP and TLS together.
    public var connectTimeout: Duration = .seconds(10)
    /// From then to the server's answer.
    public var handshakeTimeout: Duration = .seconds(10)
    /// A server that sent nothing for this long is pinged (RFC 6455 §5.5.2); zero never pings.
    public var ping: Duration = .seconds(25)
    /// A server that sent nothing for this long, not even the answer to a ping, is given up; zero never does.
    public var idle: Duration = .seconds(60)
    /// For the server's part of the closing handshake.
    public var closeTimeout: Duration = .seconds(5)
    /// Bytes of the largest message that is taken, inflated; a larger one closes the connection with 1009. At least 125.
    public var maximumMessage = 16 << 20
    /// Bytes that wait in either direction before that side is held back. One message may exceed it.
    public var bufferedBytes = 1 << 20

    public init() {}
  }

  public enum Message: Sendable, Equatable {
    case text(String)
    case binary([UInt8])

    /// Of its payload, in bytes.
    internal var count: Int {
      switch self {
      case .text(let text): text.utf8.count
      case .binary(let bytes): bytes.count
      }
    }
  }

  /// How a connection ended (RFC 6455 §7.1.5 and §7.1.6).
  public struct Closure: Sendable, Equatable, CustomStringConvertible {
    /// 1000 to 4999, of the side that began to close. 1005: the server gave no code; 1006: the connection broke without a
    /// closing handshake; 1002, 1007, 1009 and the like when not clean: what the server sent was refused here.
    public let code: UInt16
    public let reason: String
    /// Both ends said that they close.
    public let isClean: Bool

    public var description: String { reason.isEmpty ? "closed with \(code)" : "closed with \(code): \(reason)" }
  }

  /// Why there is no connection, or no longer.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
      /// The URL, a subprotocol, a header, a close code or a reason cannot be used.
      case invalid
      /// No such name, no TCP connection, no TLS that can be trusted.
      case unresolved, unreachable
      case timeout
      /// The server answered something else than a WebSocket (RFC 6455 §4.1); `status` says what.
      case refused
      /// The connection is closed, or broke.
      case closed
      case cancelled
    }

    public let code: Code
    /// 200 to 599, of a server that refused the handshake with it.
    public let status: Int?
    /// How an open connection ended.
    public let closure: Closure?
    /// A sentence for a person.
    public let description: String

    package init(_ code: Code, _ description: String, status: Int? = nil, closure: Closure? = nil) {
      (self.code, self.description, self.status, self.closure) = (code, description, status, closure)
    }

    /// Equal when the codes are.
    public static func == (a: Failure, b: Failure) -> Bool { a.code == b.code }
  }
}

extension WebSocket.Failure: CancellableFailure {
  package static var cancelled: WebSocket.Failure { WebSocket.Failure(.cancelled, "cancelled") }

  internal init(_ error: HTTPClientError) {
    let code: Code =
      switch error.code {
      case .invalid, .forbiddenAddress: .invalid
      case .unresolved: .unresolved
      case .unreachable, .proxy: .unreachable
      case .timeout: .timeout
      case .badResponse, .tooManyRedirects, .insecureRedirect, .tooLarge: .refused
      case .closed, .overloaded: .closed
      case .cancelled: .cancelled
      }
    self.init(code, error.reason, status: error.status)
  }
}

extension WebSocket.Options {
  /// - Throws: `invalid`.
  internal func request(_ url: String) throws(WebSocket.Failure) -> WebSocketClient.Request {
    guard let target = URLReference(url), ["ws", "wss", "http", "https"].contains(target.scheme) else {
      throw WebSocket.Failure(.invalid, "\"\(url.prefix(200))\" is no ws:// or wss:// URL")
    }
    guard Set(subprotocols).count == subprotocols.count, subprotocols.allSatisfy({ !$0.isEmpty && $0.isToken }) else {
      throw WebSocket.Failure(.invalid, "subprotocols are different tokens")
    }
    var configuration = WebSocketConfiguration()
    configuration.deflate.isEnabled = deflate
    configuration.limits.message = max(125, maximumMessage)
    configuration.limits.frame = configuration.limits.message
    (configuration.ping, configuration.idle) = (TimeSpan(ping), TimeSpan(idle))
    configuration.closeTimeout = TimeSpan(closeTimeout)
    // The outbox is what bounds us: a message that exceeds it must still go.
    configuration.queue = .max
    var fields = headers.fields
    if !fields.contains("Authorization"), let credentials = target.basicCredentials { fields.append("Authorization", credentials) }
    var request = WebSocketClient.Request(target, fields, options: WebSocketOptions(configuration, subprotocols: subprotocols))
    (request.connectTimeout, request.handshakeTimeout) = (TimeSpan(connectTimeout), TimeSpan(handshakeTimeout))
    return request
  }
}
