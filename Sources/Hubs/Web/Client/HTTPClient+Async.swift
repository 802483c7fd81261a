package import MartletHTTP
package import MartletIO
internal import MartletPrimitives
internal import Synchronization

/// A whole response.
package struct HTTPClientResponse: Sendable {
  package let head: HTTPResponse
  /// Where it came from, after redirects.
  package let url: URLReference
  package let body: [UInt8]
}

extension HTTPClient {
  /// Sends a request from any task through the client that is registered on `loop`, and collects the response.
  ///
  /// - Parameter limit: bytes of content; a longer response fails.
  /// - Throws: `HTTPClientError`; `.cancelled` when the task is.
  package static func fetch(
    _ request: HTTPClientRequest, on loop: EventLoop, limit: Int = 1 << 20
  ) async throws(HTTPClientError) -> HTTPClientResponse {
    let ticket = Ticket()
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        loop.post { context in collect(request, ticket, limit, context.service(HTTPClient.self)) { continuation.resume(returning: $0) } }
      }
    } onCancel: {
      ticket.isCancelled.store(true, ordering: .relaxed)
      loop.post { context in context.service(HTTPClient.self).tickets[ObjectIdentifier(ticket)]?.fail(.init(.cancelled, "cancelled")) }
    }
    return try result.get()
  }

  private final class Ticket: Sendable { let isCancelled = Atomic<Bool>(false) }

  private static func collect(
    _ request: HTTPClientRequest, _ ticket: Ticket, _ limit: Int, _ client: HTTPClient,
    then: @escaping (Result<HTTPClientResponse, HTTPClientError>) -> Void
  ) {
    guard !ticket.isCancelled.load(ordering: .relaxed) else { return then(.failure(.init(.cancelled, "cancelled"))) }
    var head: (HTTPResponse, URLReference)?
    var body: [UInt8] = []
    let id = ObjectIdentifier(ticket)
    client.tickets[id] = client.send(request) { event in
      switch event {
      case .head(let response, let url): head = (response, url)
      case .body(let part):
        guard body.count + part.count <= limit else {
          client.tickets[id]?.fail(.init(.tooLarge, "the response exceeds \(limit) bytes"))
          return
        }
        part.withUnsafeBytes { body.append(contentsOf: $0) }
      case .end:
        client.tickets[id] = nil
        // A head always comes before the end.
        let (response, url) = head ?? (HTTPResponse(.badGateway), request.url)
        then(.success(HTTPClientResponse(head: response, url: url, body: body)))
      case .failure(let error):
        client.tickets[id] = nil
        then(.failure(error))
      }
    }
  }
}
