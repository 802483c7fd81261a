internal import MartletHTTP
internal import MartletPrimitives

extension HTTPClient {
  public struct Response: Sendable {
    /// 200 to 999.
    public let status: Int
    public let headers: HTTPHeaders
    /// Where it came from, after redirects.
    public let url: String
    public let body: Body

    /// 200 to 299.
    public var isSuccess: Bool { 200..<300 ~= status }

    internal init(_ head: HTTPResponse, url: URLReference, _ body: Body) {
      status = head.status.code
      headers = HTTPHeaders(head.fields)
      self.url = url.serialized
      self.body = body
    }

    /// Bytes of content as announced; `nil` when the server did not say.
    public var contentLength: Int? { headers["Content-Length"].flatMap { Int($0) } }

    /// The content of a response, in chunks as they arrive. One task reads it, once; while it does not, the server is held
    /// back.
    public struct Body: AsyncSequence, Sendable {
      public typealias Element = [UInt8]
      public typealias Failure = HTTPClient.Failure
      private let lease: HTTPTransfer.Lease

      internal init(_ lease: HTTPTransfer.Lease) { self.lease = lease }

      public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(lease: lease) }

      /// All of it.
      /// - Parameter limit: in bytes; longer content fails with `tooLarge`.
      public func bytes(upTo limit: Int = 1 << 20) async throws(HTTPClient.Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        for try await chunk in self {
          guard bytes.count + chunk.count <= limit else { throw HTTPClient.Failure(.tooLarge, "the response exceeds \(limit) bytes") }
          bytes += chunk
        }
        return bytes
      }

      /// All of it as text in UTF-8; what is not becomes U+FFFD.
      public func text(upTo limit: Int = 1 << 20) async throws(HTTPClient.Failure) -> String {
        String(decoding: try await bytes(upTo: limit), as: UTF8.self)
      }

      public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let lease: HTTPTransfer.Lease

        public mutating func next() async throws(HTTPClient.Failure) -> [UInt8]? { try await lease.transfer.nextChunk() }
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(HTTPClient.Failure) -> [UInt8]? {
          try await lease.transfer.nextChunk()
        }
      }
    }
  }

  /// Why there is no response, or not all of it.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
      /// The request cannot be sent as it is.
      case invalid
      case unresolved, unreachable, timeout
      /// `refusesPrivateAddresses` kept it from being sent.
      case forbiddenAddress
      /// The proxy refused.
      case proxy
      case tooManyRedirects, insecureRedirect
      /// The server does not speak HTTP/1.1.
      case badResponse
      /// The connection ended too early.
      case closed
      /// Too many requests wait.
      case overloaded
      case cancelled
      case tooLarge
      /// The sequence that makes the request's content failed.
      case requestBody
    }

    public let code: Code
    /// A sentence for a person.
    public let description: String

    internal init(_ code: Code, _ description: String) {
      self.code = code
      self.description = description
    }

    /// Equal when the codes are.
    public static func == (a: Failure, b: Failure) -> Bool { a.code == b.code }
  }
}

extension HTTPClient.Failure: CancellableFailure {
  package static var cancelled: HTTPClient.Failure { HTTPClient.Failure(.cancelled, "cancelled") }
}
