internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWeb

/// One request on its way to the disk: what the client sends waits here, bounded, while a thread writes.
internal final class UploadRequest {
  private let exchange: HTTPExchange
  private let target: any UploadTarget
  private let endpoint: FilesEndpoint
  private var answer: ((UploadOutcome) -> Void)?
  private var release: (() -> Void)?
  private var waiting: [Slice] = []
  private var waitingBytes = 0
  private var isBusy = false
  private var isEnded = false
  private var isOver = false
  /// Beyond, the client is made to wait.
  private static let bufferLimit = 512 << 10

  internal init(_ exchange: HTTPExchange, _ target: any UploadTarget, _ endpoint: FilesEndpoint) {
    self.exchange = exchange
    self.target = target
    self.endpoint = endpoint
  }

  /// - Parameter answer: for what became of it; failures are answered here.
  internal func begin(_ permit: FilesEndpoint.Permit, answer: @escaping (UploadOutcome) -> Void) {
    self.answer = answer
    release = endpoint.keep(permit) { [weak self] reason in self?.fail(HTTPError(.forbidden, reason)) }
    let progress = target.progress
    if progress.received == 0 { endpoint.progress.started(target.name, length: progress.length) }
    exchange.onClose = { self.clientLeft() }
    exchange.onBody { [weak self] in
      self?.receive($0)
    } end: { [weak self] in
      self?.didEnd()
    }
  }

  private func receive(_ bytes: Slice) {
    guard !isOver, !bytes.isEmpty else { return }
    waiting.append(bytes)
    waitingBytes += bytes.count
    if waitingBytes > Self.bufferLimit { exchange.pauseBody(true) }
    pump()
  }

  private func didEnd() {
    isEnded = true
    pump()
  }

  private func pump() {
    guard !isBusy, !isOver else { return }
    let target = target
    if !waiting.isEmpty {
      isBusy = true
      let bytes = Swift.exchange(&waiting, with: [])
      if waitingBytes > Self.bufferLimit { exchange.pauseBody(false) }
      waitingBytes = 0
      endpoint.onDisk { () -> HTTPError? in
        do throws(HTTPError) { try target.write(bytes) } catch { return error }
        return nil
      } then: {
        self.didWrite($0)
      }
    } else if isEnded {
      isBusy = true
      endpoint.onDisk { () -> Result<UploadOutcome, HTTPError> in
        do throws(HTTPError) { return .success(try target.finish()) } catch { return .failure(error) }
      } then: {
        self.didFinish($0)
      }
    }
  }

  private func didWrite(_ error: HTTPError?) {
    isBusy = false
    if isOver { return abandon() }
    if let error { return fail(error) }
    endpoint.progress.moved(target.name, target.progress)
    pump()
  }

  private func didFinish(_ result: Result<UploadOutcome, HTTPError>) {
    isBusy = false
    switch result {
    case .success(let outcome):
      if case .complete(let file) = outcome { endpoint.progress.complete(file) }
      guard !isOver else { return }
      close()
      Swift.exchange(&answer, with: nil)?(outcome)
    case .failure(let error):
      if isOver { return }
      fail(error)
    }
  }

  private func clientLeft() {
    guard !isOver else { return }
    close()
    endpoint.progress.failed(target.name, "the client left")
    if !isBusy { abandon() }
  }

  private func fail(_ error: HTTPError) {
    guard !isOver else { return }
    close()
    endpoint.progress.failed(target.name, error.reason)
    if !isBusy { abandon() }
    exchange.refuse(error.status, error.reason)
  }

  private func close() {
    isOver = true
    waiting = []
    exchange.onClose = nil
    Swift.exchange(&release, with: nil)?()
  }

  private func abandon() {
    let target = target
    endpoint.onDisk {
      target.abandon()
    } then: { _ in
    }
  }
}
