internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletWeb

/// An HTTP/1.1 client: connections are kept and shared by origin, content streams both ways, and a side that does not keep up
/// holds the other back.
///
///     let response = try await HTTPClient.shared.get("https://example.org/clip.flv")
///     for try await chunk in response.body { … }
///
/// Every status that a server answers is a response; errors are for what never became one.
public final class HTTPClient: Sendable {
  public struct Configuration: Sendable {
    /// Connections to one origin (scheme, host and port); more requests wait their turn.
    public var connectionsPerOrigin = 6
    /// How long a connection without a request is kept.
    public var idleTimeout: Duration = .seconds(30)
    /// For `https`.
    public var trust = TLSTrust.system
    /// `http://[USER:PASSWORD@]HOST:PORT`: requests go through it, those to `https` by CONNECT (RFC 9110 §9.3.6).
    public var proxy: String?
    /// Unless a request has a `User-Agent` of its own.
    public var userAgent = "Martlet"
    /// Connects to no address that is not of the public internet: for URLs that strangers name.
    public var refusesPrivateAddresses = false

    public init() {}
  }

  /// For everybody with no special wishes.
  public static let shared = HTTPClient()

  private let core: LoopBound<HTTPClientCore>
  private let badProxy: Failure?

  public convenience init(_ configuration: Configuration = Configuration()) { self.init(configuration, on: .shared) }

  package init(_ configuration: Configuration, on loop: ClientLoop) {
    let proxy = configuration.proxy.map { URLReference($0) }
    let isUsable = if case .some(let url) = proxy { url?.scheme == "http" } else { true }
    // It may hold a password.
    badProxy = isUsable ? nil : Failure(.invalid, "the proxy is no http://HOST:PORT")
    core = LoopBound(on: loop) { context in
      var inner = MartletWeb.HTTPClient.Configuration()
      inner.connectionsPerOrigin = max(1, configuration.connectionsPerOrigin)
      inner.idleTimeout = TimeSpan(configuration.idleTimeout)
      inner.trust = configuration.trust.trust
      inner.proxy = proxy ?? nil
      inner.userAgent = configuration.userAgent
      if configuration.refusesPrivateAddresses { inner.allows = { !$0.isSpecialPurpose } }
      return HTTPClientCore(MartletWeb.HTTPClient(inner, in: context))
    }
  }

  public func get(_ url: String, headers: HTTPHeaders = [:]) async throws(Failure) -> Response {
    try await send(Request(url, headers: headers))
  }

  public func post(_ url: String, _ body: Request.Body, headers: HTTPHeaders = [:]) async throws(Failure) -> Response {
    try await send(Request(url, method: "POST", headers: headers, body: body))
  }

  /// Sends a request and returns with the head of its response. A streamed body goes on being sent meanwhile.
  ///
  /// Cancelling the task, or releasing the response before its end, closes the connection.
  public func send(_ request: Request) async throws(Failure) -> Response {
    if let badProxy { throw badProxy }
    let message = try request.message()
    let transfer = HTTPTransfer(core, request)
    let lease = HTTPTransfer.Lease(transfer)
    transfer.begin(message)
    guard case .head(let response, let url)? = try await transfer.inbox.next() else {
      throw Failure(.closed, "there was no response")
    }
    return Response(response, url: url, Response.Body(lease))
  }
}

// MARK: - Requests

extension HTTPClient {
  public struct Request: Sendable {
    public enum Priority: Sendable { case background, normal, urgent }

    public struct Timeouts: Sendable {
      /// For name, TCP, proxy and TLS together. Waiting for a free connection does not count.
      public var connect: Duration = .seconds(10)
      /// From the end of the request to the head of the response, and between two parts of content in either direction. A side
      /// that is held back by this program does not count as silent.
      public var silence: Duration = .seconds(30)
      /// From the call to the end of the response's content, redirects included; `nil` is no limit.
      public var total: Duration?

      public init() {}
    }

    /// `http://…` or `https://…`.
    public var url: String
    public var method: String
    public var headers: HTTPHeaders
    public var body: Body
    /// Among the requests that wait for a connection to the same origin.
    public var priority = Priority.normal
    public var timeouts = Timeouts()
    /// Redirects that are followed (RFC 9110 §15.4), never from https to http; 0 makes each a response like any other. A
    /// streamed body cannot be sent again: its 307 and 308 are responses.
    public var redirects = 5

    public init(_ url: String, method: String = "GET", headers: HTTPHeaders = [:], body: Body = .none) {
      self.url = url
      self.method = method
      self.headers = headers
      self.body = body
    }

    /// The content of a request.
    public struct Body: Sendable {
      internal enum Content: Sendable {
        case none
        case bytes([UInt8])
        case stream(length: Int?, @Sendable (_ put: @Sendable ([UInt8]) async throws -> Void) async throws -> Void)
      }

      internal let content: Content

      public static let none = Body(content: .none)
      public static func bytes(_ bytes: [UInt8]) -> Body { Body(content: .bytes(bytes)) }
      public static func text(_ text: String) -> Body { .bytes(Array(text.utf8)) }

      /// Chunks that are asked for as the server takes them.
      /// - Parameter length: in bytes, when it is known; without it the content goes out chunked (RFC 9112 §7.1).
      public static func stream<Chunks: AsyncSequence & Sendable>(_ chunks: Chunks, length: Int? = nil) -> Body
      where Chunks.Element == [UInt8] {
        Body(
          content: .stream(length: length.map { max(0, $0) }) { put in
            for try await chunk in chunks { try await put(chunk) }
          })
      }
    }

    internal func message() throws(Failure) -> HTTPClientRequest {
      guard let target = URLReference(url) else { throw Failure(.invalid, "\"\(url.prefix(200))\" is no http:// or https:// URL") }
      let content: HTTPClientRequest.Body =
        switch body.content {
        case .none: .none
        case .bytes(let bytes): .bytes(Slice(bytes))
        case .stream(let length, _): .stream(length: length)
        }
      var message = HTTPClientRequest(HTTPMethod(method), target, headers.fields, body: content)
      message.priority =
        switch priority {
        case .background: .background
        case .normal: .normal
        case .urgent: .urgent
        }
      message.timeouts.connect = TimeSpan(timeouts.connect)
      message.timeouts.firstByte = TimeSpan(timeouts.silence)
      message.timeouts.total = timeouts.total.map { TimeSpan($0) }
      message.redirects = max(0, redirects)
      return message
    }
  }
}
