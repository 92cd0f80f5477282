// Roles and permissions: CREATE, ALTER, DROP and LIST of ROLE and USER, GRANT, REVOKE, LIST.

internal import Model

extension Parser {
    // MARK: Names

    /// The name of a role: folded, or as it stands in quotation marks of either kind.
    private mutating func parseRoleName() throws(CQLError) -> String {
        switch current.kind {
        case .string:
            let name = current.text
            advance()
            return name
        case .emptyQuotedName:
            advance()
            return ""
        case .symbol(.questionMark):
            throw .syntax("Bind variables cannot be used for role names")
        default: return try parseName()
        }
    }

    /// The name in a statement about a USER, whose case is kept.
    private mutating func parseUserName() throws(CQLError) -> String {
        switch current.kind {
        case .string: return try parseRoleName()
        case .quotedName, .emptyQuotedName:
            throw .syntax(
                "Quoted strings are are not supported for user names and USER is deprecated, please"
                    + " use ROLE")
        case .symbol(.questionMark):
            throw .syntax("Bind variables cannot be used for user names")
        default:
            let name = spelling(current)
            _ = try parseName()
            return name
        }
    }

    // MARK: Roles

    mutating func parseCreateRole() throws(CQLError) -> RoleStatement {
        try expect(.role)
        let ifNotExists = try parseIfNotExists()
        let name = try parseRoleName()
        var options = try parseRoleOptions()
        options.isSuperuser = options.isSuperuser ?? false
        options.canLogin = options.canLogin ?? false
        return .createRole(name, ifNotExists: ifNotExists, options)
    }

    mutating func parseAlterRole() throws(CQLError) -> RoleStatement {
        try expect(.role)
        let ifExists = try parseIfExists()
        let name = try parseRoleName()
        return .alterRole(name, ifExists: ifExists, try parseRoleOptions())
    }

    mutating func parseDropRole() throws(CQLError) -> RoleStatement {
        try expect(.role)
        let ifExists = try parseIfExists()
        return .dropRole(try parseRoleName(), ifExists: ifExists)
    }

    private mutating func parseRoleOptions() throws(CQLError) -> RoleOptions {
        var options = RoleOptions()
        guard accept(.with) else { return options }
        repeat { try parseRoleOption(&options) } while accept(.and)
        try checkPasswords(options)
        return options
    }

    private func checkPasswords(_ options: RoleOptions) throws(CQLError) {
        if options.password != nil, options.hashedPassword != nil {
            throw .syntax("Options 'password' and 'hashed password' are mutually exclusive")
        }
    }

    private mutating func parseRoleOption(_ options: inout RoleOptions) throws(CQLError) {
        if accept(.password) {
            try checkOnce(options.password == nil, "PASSWORD")
            try expect(.equal)
            options.password = try parseString()
        } else if accept(.hashed) {
            try expect(.password)
            try checkOnce(options.hashedPassword == nil, "HASHED_PASSWORD")
            try expect(.equal)
            options.hashedPassword = try parseString()
        } else if accept(.superuser) {
            try checkOnce(options.isSuperuser == nil, "SUPERUSER")
            try expect(.equal)
            options.isSuperuser = try parseBoolean()
        } else if accept(.login) {
            try checkOnce(options.canLogin == nil, "LOGIN")
            try expect(.equal)
            options.canLogin = try parseBoolean()
        } else if accept(.options) {
            try checkOnce(!options.hasCustomOptions, "OPTIONS")
            try expect(.equal)
            _ = try parsePropertyMap()
            options.hasCustomOptions = true
        } else if accept(.access) {
            try parseAccess(&options)
        } else {
            throw noAlternative
        }
    }

    private func checkOnce(_ isFirst: Bool, _ name: String) throws(CQLError) {
        guard isFirst else { throw .syntax("Multiple definition for property '\(name)'") }
    }

    /// `TO ALL DATACENTERS`, `TO DATACENTERS {…}`, and the same FROM CIDRS.
    private mutating func parseAccess(_ options: inout RoleOptions) throws(CQLError) {
        let isDatacenters: Bool
        if accept(.to) {
            isDatacenters = true
        } else {
            try expect(.from)
            isDatacenters = false
        }
        let isAll = accept(.all)
        try expect(isDatacenters ? .datacenters : .cidrs)
        if !isAll {
            try expect(.leftBrace)
            _ = try commaSeparated { (parser) throws(CQLError) in try parser.parseString() }
            try expect(.rightBrace)
        }
        if isDatacenters {
            options.limitsDatacenters = true
        } else {
            options.limitsAddresses = true
        }
    }

    private mutating func parseString() throws(CQLError) -> String {
        guard current.kind == .string else { throw mismatch("STRING_LITERAL") }
        let text = current.text
        advance()
        return text
    }

    private mutating func parseBoolean() throws(CQLError) -> Bool {
        guard current.kind == .boolean else { throw mismatch("BOOLEAN") }
        let isTrue = current.text.lowercased() == "true"
        advance()
        return isTrue
    }

    // MARK: Users

    mutating func parseCreateUser() throws(CQLError) -> RoleStatement {
        try expect(.user)
        let ifNotExists = try parseIfNotExists()
        let name = try parseUserName()
        var options = try parseUserOptions()
        options.isSuperuser = options.isSuperuser ?? false
        options.canLogin = true
        return .createRole(name, ifNotExists: ifNotExists, options)
    }

    mutating func parseAlterUser() throws(CQLError) -> RoleStatement {
        try expect(.user)
        let ifExists = try parseIfExists()
        let name = try parseUserName()
        return .alterRole(name, ifExists: ifExists, try parseUserOptions())
    }

    mutating func parseDropUser() throws(CQLError) -> RoleStatement {
        try expect(.user)
        let ifExists = try parseIfExists()
        return .dropRole(try parseUserName(), ifExists: ifExists)
    }

    /// `[WITH [HASHED] PASSWORD 'x'] [SUPERUSER | NOSUPERUSER]`
    private mutating func parseUserOptions() throws(CQLError) -> RoleOptions {
        var options = RoleOptions()
        if accept(.with) {
            if accept(.hashed) {
                try expect(.password)
                options.hashedPassword = try parseString()
            } else {
                try expect(.password)
                options.password = try parseString()
            }
        }
        if accept(.superuser) {
            options.isSuperuser = true
        } else if accept(.nosuperuser) {
            options.isSuperuser = false
        }
        return options
    }

    // MARK: Permissions

    mutating func parseGrant() throws(CQLError) -> RoleStatement {
        try expect(.grant)
        guard atPermissions else {
            let role = try parseRoleName()
            try expect(.to)
            return .grantRole(role, to: try parseRoleName())
        }
        let grant = try parsePermissionsOnResource()
        try expect(.to)
        return .grant(grant, to: try parseRoleName())
    }

    mutating func parseRevoke() throws(CQLError) -> RoleStatement {
        try expect(.revoke)
        guard atPermissions else {
            let role = try parseRoleName()
            try expect(.from)
            return .revokeRole(role, from: try parseRoleName())
        }
        let grant = try parsePermissionsOnResource()
        try expect(.from)
        return .revoke(grant, from: try parseRoleName())
    }

    /// LIST ROLES, USERS or permissions; LIST was taken.
    mutating func parseList() throws(CQLError) -> RoleStatement {
        if accept(.users) { return .listUsers }
        if accept(.roles) {
            let role = accept(.of) ? try parseRoleName() : nil
            return .listRoles(of: role, isRecursive: !accept(.norecursive))
        }
        guard atPermissions else { throw noAlternative }
        let (permissions, _) = try parsePermissions()
        let resource = accept(.on) ? try parseResource() : nil
        let role = accept(.of) ? try parseRoleName() : nil
        return .listPermissions(
            permissions, on: resource, of: role, isRecursive: !accept(.norecursive))
    }

    /// Whether permissions stand here, and not the name of a role (which three of the words may be).
    private var atPermissions: Bool {
        guard case .keyword(let keyword) = current.kind else { return false }
        switch keyword {
        case .create, .alter, .drop, .select, .modify, .authorize, .describe, .execute: return true
        case .all, .unmask, .selectMasked:
            switch token(ahead: 1).kind {
            case .keyword(.to), .keyword(.from): return false
            default: return true
            }
        default: return false
        }
    }

    private mutating func parsePermissions() throws(CQLError) -> (PermissionSet, isAll: Bool) {
        if accept(.all) {
            _ = accept(.permissions)
            return (.all, true)
        }
        let permissions = try commaSeparated { (parser) throws(CQLError) in
            try parser.parsePermission()
        }
        return (PermissionSet(permissions), false)
    }

    private mutating func parsePermission() throws(CQLError) -> PermissionSet {
        guard case .keyword(let keyword) = current.kind,
            let permission = PermissionSet(named: keyword.rawValue.uppercased())
        else { throw noAlternative }
        advance()
        _ = accept(.permission)
        return permission
    }

    private mutating func parsePermissionsOnResource() throws(CQLError) -> RoleStatement.Grant {
        let (permissions, isAll) = try parsePermissions()
        try expect(.on)
        let resource = try parseResource()
        let applicable = permissions.intersection(resource.applicable)
        guard !applicable.isEmpty else {
            throw .syntax(
                "Resource type \(resource.typeName) does not support any of the requested"
                    + " permissions")
        }
        return RoleStatement.Grant(permissions: applicable, resource: resource, isAll: isAll)
    }

    private mutating func parseResource() throws(CQLError) -> Resource {
        let followed = token(ahead: 1).kind
        if at(.all), case .keyword(let keyword) = followed {
            switch keyword {
            case .keyspaces:
                advance()
                advance()
                return .allKeyspaces
            case .tables, .columnfamilies:
                advance()
                advance()
                try expect(.in)
                try expect(.keyspace)
                return .allTables(try parseKeyspaceName())
            case .roles:
                advance()
                advance()
                return .allRoles
            case .functions:
                advance()
                advance()
                guard accept(.in) else { return .allFunctions }
                try expect(.keyspace)
                return .functions(try parseKeyspaceName())
            case .mbeans: throw Self.noManagementBeans
            default: break
            }
        }
        if accept(.keyspace) { return .keyspace(try parseKeyspaceName()) }
        let isName: Bool
        switch followed {
        case .symbol(.dot), .keyword(.to), .keyword(.from), .keyword(.of), .end: isName = true
        default: isName = false
        }
        if at(.role), !isName {
            advance()
            return .role(try parseRoleName())
        }
        if at(.function), !isName {
            throw .invalid("User-defined functions are not supported by Coterie yet")
        }
        if at(.mbean, .mbeans), !isName { throw Self.noManagementBeans }
        if at(.table, .columnfamily), nameHere(1) != nil { advance() }
        let table = try parseQualifiedName()
        return .table(table.keyspace ?? "", table.name)
    }

    private static var noManagementBeans: CQLError {
        .invalid("Permissions on MBEANS are not supported by Coterie: it has no JMX")
    }
}
