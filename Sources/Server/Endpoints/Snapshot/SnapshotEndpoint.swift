internal import MartletHTTP
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
package import MartletWeb

/// `GET /APP/NAME.jpg`: the last key frame as a picture, for previews.
package final class SnapshotEndpoint {
  private let admission: Admission
  private let held: HeldExchanges

  package init(_ admission: Admission, _ held: HeldExchanges) {
    self.admission = admission
    self.held = held
  }

  /// Takes the request when its path is a stream's with `.jpg` behind it.
  package func handle(_ exchange: HTTPExchange) -> Bool {
    let request = exchange.request
    guard request.target.path.hasSuffix(".jpg"), request.method == .get || request.method == .head,
      let path = try? StreamPath(String(request.target.path.dropLast(4)))
    else { return false }
    let question = exchange.accessRequest(.play, on: path.text, transport: "snapshot")
    admission.access.decide(question) { [weak self] decision in
      guard let self, !exchange.isFinished else { return }
      switch decision {
      case .denied(let reason, let isFinal): exchange.deny(question, reason, isFinal: isFinal)
      case .allowed: self.ask(exchange, path)
      }
    }
    return true
  }

  private func ask(_ exchange: HTTPExchange, _ path: StreamPath) {
    let ticket = held.hold(exchange, for: .seconds(10)) { exchange in
      exchange.refuse(.serviceUnavailable, "the picture was not ready in time")
    }
    admission.hub.withStream(path) { stream, context in context.service(Snapshots.self).answer(ticket, stream, path) }
  }
}
