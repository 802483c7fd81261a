package import MartletIO
package import MartletPrimitives

/// Asks every worker and joins the answers on the worker that asked. State lives on several workers and is never shared, so
/// whatever shows the whole server goes through here.
///
/// One object on each worker, registered with its loop. A worker that does not answer in time (it is stopping) is left out.
package final class Gathering {
  private final class Pending {
    let deliver: (_ worker: Int, _ part: any Sendable) -> Void
    let finish: () -> Void
    var missing: Set<Int>

    init(missing: Set<Int>, deliver: @escaping (Int, any Sendable) -> Void, finish: @escaping () -> Void) {
      self.missing = missing
      self.deliver = deliver
      self.finish = finish
    }
  }

  private let patience: TimeSpan
  private let loops: [EventLoop]
  private let context: LoopContext
  private var pending: [UInt64: Pending] = [:]
  private var count: UInt64 = 0

  /// - Parameter patience: how long an answer may take.
  package init(_ loops: [EventLoop], patience: TimeSpan = .seconds(2), in context: LoopContext) {
    self.patience = patience
    self.loops = loops
    self.context = context
  }

  /// - Parameters:
  ///   - question: runs on every worker.
  ///   - then: runs here, once, with the answers in the order of the workers; never from inside this call.
  package func ask<Part: Sendable>(_ question: @escaping @Sendable (LoopContext) -> Part, then: @escaping ([Part]) -> Void) {
    count += 1
    let (id, asker) = (count, context.loop)
    var parts: [(worker: Int, part: Part)] = []
    pending[id] = Pending(missing: Set(loops.map(\.index))) { worker, part in
      if let part = part as? Part { parts.append((worker, part)) }
    } finish: {
      then(parts.sorted { $0.worker < $1.worker }.map(\.part))
    }
    for loop in loops {
      let worker = loop.index
      loop.post { context in
        let part = question(context)
        asker.post { $0.service(Gathering.self).receive(id, worker, part) }
      }
    }
    context.schedule(after: patience) { [weak self] in self?.finish(id) }
  }

  private func receive(_ id: UInt64, _ worker: Int, _ part: any Sendable) {
    guard let question = pending[id], question.missing.remove(worker) != nil else { return }
    question.deliver(worker, part)
    if question.missing.isEmpty { finish(id) }
  }

  private func finish(_ id: UInt64) { pending.removeValue(forKey: id)?.finish() }
}
