internal import MartletHTTP
package import MartletIO
internal import MartletMedia
internal import MartletPrimitives
package import MartletWeb

/// Recordings over HTTP, for administrators: `GET /api/v1/recordings`, and `GET` and `DELETE` of
/// `/api/v1/recordings/APP/NAME/FILE.flv`.
package final class RecordingsEndpoint {
  /// Recordings of one answer at most; the newest are given.
  private static let listLimit = 1000

  private let admission: Admission
  private let store: RecordingStore?
  private let held: HeldExchanges
  private let disk: ThreadPool

  /// - Parameters:
  ///   - store: `nil` when nothing is recorded.
  ///   - disk: threads that may wait for the disk.
  package init(_ admission: Admission, _ store: RecordingStore?, _ held: HeldExchanges, disk: ThreadPool) {
    self.admission = admission
    self.store = store
    self.held = held
    self.disk = disk
  }

  package func add(to router: Router) {
    router.on(.get, "/api/v1/recordings") { [self] exchange, _ in
      admit(exchange, "recordings") { store in self.list(exchange, store) }
    }
    router.on(.get, "/api/v1/recordings/{file...}") { [self] exchange, parameters in
      admit(exchange, "recordings/" + parameters["file"]) { store in self.send(parameters["file"], exchange, store) }
    }
    router.on(.delete, "/api/v1/recordings/{file...}") { [self] exchange, parameters in
      admit(exchange, "recordings/" + parameters["file"]) { store in self.delete(parameters["file"], exchange, store) }
    }
  }

  private func admit(_ exchange: HTTPExchange, _ resource: String, then: @escaping (RecordingStore) -> Void) {
    let question = exchange.accessRequest(.admin, on: resource, transport: "http")
    admission.access.decide(question) { [weak self] decision in
      guard let self, !exchange.isFinished else { return }
      switch decision {
      case .denied(let reason, let isFinal): exchange.deny(question, reason, isFinal: isFinal)
      case .allowed:
        guard let store = self.store else { return exchange.refuse(.notFound, "nothing is recorded (record.path is not set)") }
        then(store)
      }
    }
  }

  /// Keeps the exchange while a thread looks at the disk.
  private func ask(_ exchange: HTTPExchange, _ work: @escaping @Sendable (HeldExchange) -> Void) {
    let ticket = held.hold(exchange, for: .seconds(30)) { $0.refuse(.serviceUnavailable, "the disk did not answer in time") }
    if !disk.submit({ work(ticket) }) { ticket.refuse(.serviceUnavailable, "the disk is busy", retryAfter: 2) }
  }

  private func list(_ exchange: HTTPExchange, _ store: RecordingStore) {
    let query = exchange.request.target.query
    let stream = query.first("stream")
    if let stream, (try? StreamPath(stream))?.text != stream { return exchange.refuse(.badRequest, "stream is not a stream's path") }
    let limit = query.first("limit").flatMap { Int($0) }.map { min(max(1, $0), Self.listLimit) } ?? Self.listLimit
    ask(exchange) { ticket in
      let recordings = store.list(stream: stream, limit: limit)
      ticket.answer { $0.respond(.ok, json: ["recordings": .array(recordings.map(\.json))]) }
    }
  }

  private func send(_ path: String, _ exchange: HTTPExchange, _ store: RecordingStore) {
    guard let name = RecordingName(path: path) else { return exchange.refuse(.notFound, "no recording has this name") }
    ask(exchange) { ticket in
      guard let file = ReadableFile.open(name.path, below: store.root) else {
        return ticket.refuse(.notFound, "there is no recording \(name.path)")
      }
      let fileName = "\(name.stream.segments.last ?? "")-\(name.fileName)".filter { $0.isASCII && $0 != "\"" && $0 != "\\" }
      ticket.answer { exchange in
        let extra: HTTPFields = [
          "Content-Disposition": "attachment; filename=\"\(fileName)\"", "X-Content-Type-Options": "nosniff",
        ]
        FileContent(file, contentType: "video/x-flv", caching: "private, no-cache", extra: extra).respond(exchange)
      }
    }
  }

  private func delete(_ path: String, _ exchange: HTTPExchange, _ store: RecordingStore) {
    guard let name = RecordingName(path: path) else { return exchange.refuse(.notFound, "no recording has this name") }
    guard !store.isActive(name.path) else { return exchange.refuse(.conflict, "\(name.path) is being written") }
    ask(exchange) { ticket in
      guard ReadableFile.open(name.path, below: store.root) != nil else {
        return ticket.refuse(.notFound, "there is no recording \(name.path)")
      }
      if let failure = FileTree.remove(name.path, below: store.root) {
        return ticket.refuse(500, "\(name.path) could not be removed: \(failure)")
      }
      store.log(.info, "record", "\(name.path) was removed by an administrator")
      ticket.answer { $0.respond(.noContent) }
    }
  }
}
