/// Why a message was refused: the status a server answers with, and a sentence for the log and the peer.
package struct HTTPError: Error, Equatable, Sendable {
  package let status: HTTPStatus
  package let reason: String

  package init(_ status: HTTPStatus, _ reason: String) {
    self.status = status
    self.reason = reason
  }
}

extension HTTPError: CustomStringConvertible {
  package var description: String { "\(status.code) \(status.reason): \(reason)" }
}
