internal import MartletCrypto
package import MartletHTTP
internal import MartletIO
package import MartletPrimitives
internal import Synchronization

/// A file that comes in one request. It is written beside its place and takes it at the end: until then whatever was there
/// stays, and of a request that breaks off nothing is kept.
package final class WholeUpload: UploadTarget {
  private struct State {
    var position = 0
    var reserved: Int
    var digests: [RunningDigest] = []
    var isOver = false
  }

  package let name: FileName
  private let store: FileStore
  private let terms: UploadTerms
  private let folder: OpenFolder
  private let file: WritableFile
  private let temporary: String
  private let state: Mutex<State>
  /// A name was chosen for it, and is kept for it.
  private let isChosen: Bool

  internal init(_ name: FileName, _ terms: UploadTerms, _ store: FileStore, isChosen: Bool) throws(HTTPError) {
    if let length = terms.contentLength, length > store.configuration.maximumBytes { throw store.tooLarge }
    self.name = name
    self.store = store
    self.terms = terms
    self.isChosen = isChosen
    temporary = "." + name.last + FileName.mark + String(UInt64.random(in: 0...UInt64.max), radix: 36)
    let reserved = terms.contentLength ?? 0
    try store.accounts.reserve(reserved, for: terms.user)
    do throws(FileFailure) { (folder, file) = try store.create(temporary, for: name) } catch {
      store.accounts.release(reserved, of: terms.user)
      throw store.refusal(error, name)
    }
    let algorithms = [terms.contentDigest, terms.fileDigest].compactMap { $0?.algorithm }
    state = Mutex(State(reserved: reserved, digests: algorithms.map { RunningDigest($0) }))
  }

  package var progress: (received: Int, length: Int?) { (state.withLock { $0.position }, terms.contentLength) }

  package func write(_ bytes: [Slice]) throws(HTTPError) {
    let result = state.withLock { state -> HTTPError? in
      do throws(HTTPError) {
        for part in bytes { try write(part, &state) }
        return nil
      } catch { return error }
    }
    if let result { throw result }
  }

  private func write(_ bytes: Slice, _ state: inout State) throws(HTTPError) {
    let end = state.position + bytes.count
    guard end <= store.configuration.maximumBytes else { throw store.tooLarge }
    if let length = terms.contentLength, end > length { throw HTTPError(.badRequest, "more content came than Content-Length said") }
    if end > state.reserved {
      // Of a length that nobody told, room is taken as it grows.
      let step = min(max(end - state.reserved, 1 << 20), store.configuration.maximumBytes - state.reserved)
      try store.accounts.reserve(step, for: terms.user)
      state.reserved += step
    }
    do throws(FileFailure) { try file.write(bytes, at: state.position) } catch { throw store.refusal(error, name) }
    for digest in state.digests { bytes.withUnsafeBytes { digest.update($0) } }
    state.position = end
    store.received.add(bytes.count, ordering: .relaxed)
  }

  package func finish() throws(HTTPError) -> UploadOutcome {
    do throws(HTTPError) {
      let stored = try state.withLock { state throws(HTTPError) -> StoredFile in
        if let length = terms.contentLength, state.position != length {
          throw HTTPError(.badRequest, "the content ended after \(state.position) of \(length) bytes")
        }
        let expected = [terms.contentDigest, terms.fileDigest].compactMap { $0 }
        for (digest, expected) in zip(state.digests, expected) where !Digest.equal(digest.finish(), expected.value) {
          throw HTTPError(.badRequest, "the content is not what its digest says; nothing was kept")
        }
        let stored = try store.commit(file, temporary, in: folder, as: name, terms, size: state.position)
        store.accounts.release(state.reserved - state.position, of: terms.user)
        state.reserved = 0
        state.isOver = true
        return stored
      }
      if isChosen { store.giveBack(name) }
      return .complete(stored)
    } catch {
      abandon()
      throw error
    }
  }

  package func abandon() {
    let reserved = state.withLock { state -> Int? in
      guard !state.isOver else { return nil }
      state.isOver = true
      return exchange(&state.reserved, with: 0)
    }
    guard let reserved else { return }
    store.remove(temporary, in: folder, of: name)
    store.accounts.release(reserved, of: terms.user)
    if isChosen { store.giveBack(name) }
  }
}
