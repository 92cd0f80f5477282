// The names of the functions, and the types that each takes and gives.
//
// Cassandra 5.0 knows most functions by two spellings (`toTimestamp`, `to_timestamp`), and so do we. Some
// take whatever type an argument has (`map_keys`, `to_json`): their signature is made for the call.

internal import Model

/// The functions by name.
enum FunctionLibrary {
    private static let blobTypes: [CQLType] = [
        .ascii, .bigint, .boolean, .counter, .date, .decimal, .double, .duration, .float, .inet,
        .int, .smallint, .text, .time, .timestamp, .timeuuid, .tinyint, .uuid, .varint,
    ]

    /// All functions of that name, in lower case, whose types do not depend on the call.
    static func candidates(_ name: String) -> [FunctionSignature] {
        func one(
            _ function: ScalarFunction, _ arguments: [CQLType], _ result: CQLType
        ) -> [FunctionSignature] {
            [FunctionSignature(name, function, arguments, result)]
        }
        switch name {
        case "now", "currenttimeuuid", "current_timeuuid": return one(.now, [], .timeuuid)
        case "uuid": return one(.uuid, [], .uuid)
        case "currenttimestamp", "current_timestamp": return one(.currentTimestamp, [], .timestamp)
        case "currentdate", "current_date": return one(.currentDate, [], .date)
        case "currenttime", "current_time": return one(.currentTime, [], .time)
        case "mintimeuuid", "min_timeuuid":
            return one(.minimumTimeUUID, [.timestamp], .timeuuid)
        case "maxtimeuuid", "max_timeuuid":
            return one(.maximumTimeUUID, [.timestamp], .timeuuid)
        case "totimestamp", "to_timestamp":
            return [CQLType.timeuuid, .date].flatMap {
                one(.toTimestamp(from: $0), [$0], .timestamp)
            }
        case "todate", "to_date":
            return [CQLType.timeuuid, .timestamp].flatMap { one(.toDate(from: $0), [$0], .date) }
        case "tounixtimestamp", "to_unix_timestamp":
            return [CQLType.timeuuid, .timestamp, .date].flatMap {
                one(.toUnixTimestamp(from: $0), [$0], .bigint)
            }
        case "floor": return TimeFunctions.floorSignatures
        default: break
        }
        if let function = MathFunction(rawValue: name) {
            return ArithmeticFunctions.numericTypes.flatMap {
                one(.math(function, $0), [$0], $0)
            }
        }
        return blobConversions(name)
    }

    private static func blobConversions(_ name: String) -> [FunctionSignature] {
        for type in blobTypes {
            for typeName in type == .text ? ["text", "varchar"] : [type.cqlName] {
                if name == typeName + "asblob" || name == typeName + "_as_blob" {
                    return [FunctionSignature(name, .toBlob, [type], .blob)]
                }
                if name == "blobas" + typeName || name == "blob_as_" + typeName {
                    return [FunctionSignature(name, .fromBlob(type, name: name), [.blob], type)]
                }
            }
        }
        return []
    }

    /// The function that a call means. `partitionKey` has the types that `token` takes.
    static func resolve(
        _ name: QualifiedName, _ arguments: [CallArgument], receiver: CQLType?,
        partitionKey: [CQLType]
    ) throws(CQLError) -> FunctionSignature {
        guard name.keyspace == nil || name.keyspace == "system" else {
            throw .invalid("Unknown function '\(name)'")
        }
        let plain = name.name
        switch plain {
        case "token":
            return try FunctionResolver.choose(
                [FunctionSignature("token", .token(partitionKey), partitionKey, .bigint)],
                arguments, receiver: receiver)
        case "fromjson", "from_json":
            guard let receiver else {
                throw .invalid(
                    "\(plain)() cannot be used in the selection clause of a SELECT statement")
            }
            return try FunctionResolver.choose(
                [FunctionSignature(plain, .fromJSON(receiver), [.text], receiver)], arguments,
                receiver: nil)
        default: break
        }
        if let generic = try GenericFunctions.signature(plain, arguments, receiver: receiver) {
            return generic
        }
        let candidates = candidates(plain)
        guard !candidates.isEmpty else { throw .invalid("Unknown function '\(name)'") }
        return try FunctionResolver.choose(candidates, arguments, receiver: receiver)
    }

    // MARK: Casts

    private static let castNumbers: [CQLType] = [
        .tinyint, .smallint, .int, .bigint, .float, .double, .decimal, .counter, .varint,
    ]

    /// The conversions that CAST may make to a type.
    static func casts(to: CQLType) -> [FunctionSignature] {
        var result: [FunctionSignature] = []
        let name = "cast_as_" + to.cqlName
        func add(_ from: CQLType, _ function: ScalarFunction) {
            result.append(FunctionSignature(name, function, [from], to))
        }
        if to == .text || to == .ascii {
            let others: [CQLType] = [
                .inet, .boolean, .timeuuid, .timestamp, .date, .time, .uuid,
            ]
            for from in castNumbers + others { add(from, .cast(from: from, to: to)) }
            if to == .text { add(.ascii, .toBlob) }
        } else if castNumbers.contains(to), to != .counter {
            for from in castNumbers where from != to { add(from, .cast(from: from, to: to)) }
        } else if to == .date {
            add(.timeuuid, .toDate(from: .timeuuid))
            add(.timestamp, .toDate(from: .timestamp))
        } else if to == .timestamp {
            add(.timeuuid, .toTimestamp(from: .timeuuid))
            add(.date, .toTimestamp(from: .date))
        }
        return result
    }

    /// The conversion of an argument by CAST. A value that has the type already stays as it is.
    static func cast(
        _ argument: CallArgument, to: CQLType
    ) throws(CQLError) -> FunctionSignature {
        if argument.exactType == to {
            return FunctionSignature("cast", .toBlob, [to], to)
        }
        let refusal: CQLError = .invalid("\(argument.text) cannot be cast to \(to.cqlName)")
        let candidates = casts(to: to)
        guard !candidates.isEmpty else { throw refusal }
        var weak: [FunctionSignature] = []
        for candidate in candidates {
            switch argument.suits(candidate.arguments[0]) {
            case .exact: return candidate
            case .weak: weak.append(candidate)
            case .none: continue
            }
        }
        if weak.isEmpty, argument.suits(to) != .none {
            return FunctionSignature("cast", .toBlob, [to], to)
        }
        guard !weak.isEmpty else { throw refusal }
        guard weak.count == 1 else {
            throw .invalid(
                "Ambiguous call to function \(weak[0].name) (can be matched by following signatures:"
                    + " \(FunctionResolver.list(weak))): use type casts to disambiguate")
        }
        return weak[0]
    }
}

/// Functions whose types follow from their arguments.
private enum GenericFunctions {
    private enum Wanted: String {
        case any
        case map
        case collection
        case setOrList = "set or list"
        case numericSetOrList = "numeric set/list"
        case floatVector = "float vector"

        func accepts(_ type: CQLType) -> Bool {
            switch (self, type) {
            case (.any, _), (.map, .map), (.collection, .map), (.collection, .set),
                (.collection, .list), (.setOrList, .set), (.setOrList, .list),
                (.floatVector, .vector(.float, _)):
                true
            case (.numericSetOrList, .set(let element, _)),
                (.numericSetOrList, .list(let element, _)):
                ArithmeticFunctions.isNumeric(element)
            default: false
            }
        }
    }

    static func signature(
        _ name: String, _ arguments: [CallArgument], receiver: CQLType?
    ) throws(CQLError) -> FunctionSignature? {
        switch name {
        case "tojson", "to_json":
            let type = try only(name, arguments, .any)
            return FunctionSignature(name, .toJSON(type), [type], .text)
        case "map_keys":
            let type = try only(name, arguments, .map)
            return FunctionSignature(
                name, .mapKeys(type), [type], .set(type.parts[0].frozen, frozen: false))
        case "map_values":
            let type = try only(name, arguments, .map)
            return FunctionSignature(
                name, .mapValues(type), [type], .list(type.parts[1].frozen, frozen: false))
        case "collection_count":
            let type = try only(name, arguments, .collection)
            return FunctionSignature(name, .collectionCount(type), [type], .int)
        case "collection_min", "collection_max", "collection_sum", "collection_avg":
            return try aggregate(name, arguments)
        case "similarity_cosine", "similarity_euclidean", "similarity_dot_product":
            return try similarity(name, arguments)
        default: return try MaskFunction.signature(name, arguments, receiver: receiver)
        }
    }

    private static func aggregate(
        _ name: String, _ arguments: [CallArgument]
    ) throws(CQLError) -> FunctionSignature? {
        guard let kind = AggregateKind(rawValue: String(name.dropFirst("collection_".count))) else {
            return nil
        }
        let isNumeric = kind == .sum || kind == .average
        let type = try only(name, arguments, isNumeric ? .numericSetOrList : .setOrList)
        return FunctionSignature(
            name, .collectionAggregate(kind, type), [type], type.parts[0])
    }

    private static func similarity(
        _ name: String, _ arguments: [CallArgument]
    ) throws(CQLError) -> FunctionSignature? {
        guard let function = VectorSimilarity(rawValue: name) else { return nil }
        guard arguments.count == 2 else {
            throw .invalid(
                "Invalid number of arguments for function system.\(name)(vector<float, n>,"
                    + " vector<float, n>)")
        }
        // A list that is written out is a vector of its length; a marker takes the other side's type.
        let known = arguments.map { argument in
            argument.elementCount.map { CQLType.vector(.float, dimensions: $0) }
                ?? argument.exactType ?? argument.likelyType
        }
        guard let first = known[0] ?? known[1] else { throw cannotInfer(name, arguments[0]) }
        let types = known.map { $0 ?? first }
        for (argument, type) in zip(arguments, types) {
            try check(name, argument, type, .floatVector)
        }
        guard types[0] == types[1] else {
            throw .invalid("All arguments must have the same vector dimensions")
        }
        let type = types[0]
        for (place, argument) in arguments.enumerated() where argument.suits(type) == .none {
            throw .invalid(
                "Type error: \(argument.text) cannot be passed as argument \(place) of function"
                    + " system.\(name) of type \(type.cqlName)")
        }
        return FunctionSignature(name, .similarity(function), [type, type], .float)
    }

    /// The type of the one argument.
    private static func only(
        _ name: String, _ arguments: [CallArgument], _ wanted: Wanted
    ) throws(CQLError) -> CQLType {
        guard arguments.count == 1, let argument = arguments.first else {
            throw .invalid(
                "Invalid number of arguments for function system.\(name)(\(wanted.rawValue))")
        }
        guard let type = argument.exactType ?? argument.likelyType else {
            throw cannotInfer(name, argument)
        }
        try check(name, argument, type, wanted)
        return type
    }

    private static func cannotInfer(_ name: String, _ argument: CallArgument) -> CQLError {
        .invalid(
            "Cannot infer type of argument \(argument.text) in call to function system.\(name): use"
                + " type casts to disambiguate")
    }

    private static func check(
        _ name: String, _ argument: CallArgument, _ type: CQLType, _ wanted: Wanted
    ) throws(CQLError) {
        guard !wanted.accepts(type) else { return }
        throw .invalid(
            "Function system.\(name) requires a \(wanted.rawValue) argument, but found argument"
                + " \(argument.text) of type \(type.cqlName)")
    }
}
