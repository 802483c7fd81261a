internal import MartletCrypto
package import MartletHTTP
package import MartletPrimitives
internal import Synchronization

/// One request's part of an unfinished upload.
package final class PartUpload: UploadTarget {
  private struct State {
    var position: Int
    /// Of this content, when its digest is to be checked.
    var digest: RunningDigest?
    /// By which the part is known again when it is sent a second time.
    var fingerprint: RunningDigest?
    var isOver = false
  }

  private let id: Int
  private let upload: UnfinishedUpload
  private let range: Range<Int>
  /// It may end before the range does: tus says where a part begins, not where it ends.
  private let isOpenEnded: Bool
  private let expected: DigestField?
  /// For what to answer when the digest is wrong: tus has a status of its own.
  private let mismatch: HTTPStatus
  private let state: Mutex<State>

  internal init(
    _ id: Int, _ upload: UnfinishedUpload, _ range: Range<Int>, isOpenEnded: Bool, _ expected: DigestField?, mismatch: HTTPStatus
  ) {
    self.id = id
    self.upload = upload
    self.range = range
    self.isOpenEnded = isOpenEnded
    self.expected = expected
    self.mismatch = mismatch
    state = Mutex(
      State(
        position: range.lowerBound, digest: expected.map { RunningDigest($0.algorithm) },
        fingerprint: isOpenEnded ? nil : RunningDigest(.sha256)))
  }

  package var name: FileName { upload.name }
  package var progress: (received: Int, length: Int?) { upload.received }

  package func write(_ bytes: [Slice]) throws(HTTPError) {
    try state.withLock { state throws(HTTPError) in
      for part in bytes {
        guard part.count <= range.upperBound - state.position else {
          throw HTTPError(.badRequest, "more content came than \(isOpenEnded ? "Upload-Length" : "Content-Range") says")
        }
        try upload.write(id, part, at: state.position, isChecked: expected != nil)
        for digest in [state.digest, state.fingerprint] { if let digest { part.withUnsafeBytes { digest.update($0) } } }
        state.position += part.count
      }
    }
  }

  package func finish() throws(HTTPError) -> UploadOutcome {
    do throws(HTTPError) {
      let (arrived, fingerprint) = try state.withLock { state throws(HTTPError) -> (Range<Int>, [UInt8]?) in
        guard isOpenEnded || state.position == range.upperBound else {
          throw HTTPError(.badRequest, "the content ended after \(state.position - range.lowerBound) of \(range.count) bytes")
        }
        if let digest = state.digest, let expected, !Digest.equal(digest.finish(), expected.value) {
          throw HTTPError(mismatch, "the content is not what its digest says; the part was not kept")
        }
        state.isOver = true
        return (range.lowerBound..<state.position, state.fingerprint?.finish())
      }
      return try upload.finish(id, arrived, fingerprint)
    } catch {
      abandon()
      throw error
    }
  }

  package func abandon() { upload.leave(id) }
}
